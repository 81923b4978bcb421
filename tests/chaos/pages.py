"""What there is to be asked: every address of the product, and the forms and links of a page."""

from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Self
from urllib.parse import parse_qsl, urlsplit

from django.urls import URLResolver, get_resolver

FORGERY = "csrfmiddlewaretoken"  # goes as a header


@dataclass(frozen=True)
class Address:
    """An address with gaps, such as "servers/%(pk)s/", the names of the gaps, and its own name."""

    text: str
    gaps: tuple[str, ...]
    name: str


@dataclass
class Form:
    """Where a form is sent, and each field with the values that the page offers for it."""

    action: str
    method: str = "get"
    fields: dict[str, list[str]] = field(default_factory=dict)
    files: set[str] = field(default_factory=set)


def addresses(resolver: URLResolver | None = None, before: str = "/") -> set[Address]:
    """All of the product and of Django's admin, as the table of addresses has them."""
    resolver = resolver or get_resolver()
    found = {
        Address(before + text, tuple(gaps), name)
        for name, several in resolver.reverse_dict.lists()
        if isinstance(name, str)
        for routes in several
        for text, gaps in routes[0]
    }
    for prefix, inner in resolver.namespace_dict.values():
        found |= addresses(inner, before + prefix)
    return found


class Page(HTMLParser):
    """The forms of a page, what htmx would ask for, and where its links lead."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self.path = path
        self.forms: list[Form] = []
        self.links: list[str] = []
        self.within: Form | None = None
        self.select = ""

    @classmethod
    def read(cls, path: str, content: bytes) -> Self:
        page = cls(path)
        page.feed(content.decode())
        return page

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        of = {name: value or "" for name, value in attrs}
        for method in ("get", "post"):
            if address := of.get(f"hx-{method}"):
                self._add(Form(address, method))
        if tag == "form":
            self.within = self._add(Form(of.get("action", ""), of.get("method", "get").lower()))
        elif tag == "a" and urlsplit(of.get("href", "#")).query:
            parts = urlsplit(of["href"])
            fields = {name: [value] for name, value in parse_qsl(parts.query)}
            self._add(Form(parts.path, "get", fields))
            self.links.append(of["href"])
        elif tag == "a":
            self.links.append(of.get("href", "#"))
        elif self.within is not None:
            self._field(tag, of)

    def _add(self, form: Form) -> Form:
        form.action = form.action or self.path
        if form.action.startswith("/"):
            self.forms.append(form)
        return form

    def _field(self, tag: str, of: dict[str, str]) -> None:
        assert self.within
        name = of.get("name", "")
        if tag == "select":
            self.select = name
        if tag == "option" and self.select:
            self.within.fields.setdefault(self.select, []).append(of.get("value", ""))
        elif name and of.get("type") == "file":
            self.within.files.add(name)
        elif name and name != FORGERY and tag in {"input", "textarea", "button", "select"}:
            values = self.within.fields.setdefault(name, [])
            values += [of["value"]] if "value" in of else []

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self.within = None
        elif tag == "select":
            self.select = ""
