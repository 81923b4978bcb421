"""Which pages there are, found as a visitor finds them: by links, filters, sorts, pages of a table.

So that a page, a filter or a sort that is added is measured without a word here.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import islice
from urllib.parse import parse_qsl, urlencode, urljoin, urlsplit

import httpx2
from selectolax.lexbor import LexborHTMLParser as HTMLParser, LexborNode as Node

FILES = re.compile(r"\.(csv|xlsx)$|/download/$|^/static/|^/admin/|^/logout/|\.svg$")
FEW = 12  # of more choices than these, three are taken
DAY = (datetime.now(UTC) - timedelta(7)).date().isoformat()
WORDS = {"/trace/": "4100000037", "/rejects/": "4100000037"}  # what is searched for
WORD = "99"


@dataclass(frozen=True)
class Address:
    """`page` is the path with # for numbers; `what` says which part is asked for."""

    page: str
    what: str
    url: str
    is_part: bool = False  # of a page, fetched by itself


class Walk:
    """From the overview on, over every page that a link leads to; each kind of page once."""

    def __init__(self, browser: httpx2.Client, every: int = 1) -> None:
        """`every`: 1 tries all filters and sorts of a page, 6 each sixth of them, 0 none."""
        self.browser, self.every = browser, every
        self.addresses: list[Address] = []
        self.refused: dict[str, int] = {}  # pages that did not answer 200
        self._seen: set[tuple[str, bool]] = set()
        self._ahead: list[Address] = [Address("/", "", "/")]

    def all(self) -> "Walk":
        while self._ahead:
            self._visit(self._ahead.pop(0))
        return self

    def _visit(self, address: Address) -> None:
        tree = self._asked(address)
        if tree is None:
            return
        if self.every and not address.is_part:
            varied = islice(variations(tree, address.url), None, None, self.every)
            for what, url in varied:
                self._vary(address.page, what, url)
        self._follow(tree, address.url)

    def _vary(self, page: str, what: str, url: str) -> None:
        """A filter or a sort, and the last page of what it finds."""
        tree = self._asked(Address(page, what, url))
        if tree is not None:
            last = last_page(tree, url)
            if last and what not in ("last page", "most rows a page"):
                self._asked(Address(page, f"{what}, last page", last))

    def _asked(self, address: Address) -> HTMLParser | None:
        if address in self.addresses:
            return None
        response = self.browser.get(address.url, headers=headers(address))
        if response.status_code != 200:
            self.refused[address.url] = response.status_code
            return None
        if response.history:  # links are relative to where it has led
            self._ahead.append(replace(address, url=response.url.raw_path.decode()))
            return None
        if not response.headers.get("content-type", "").startswith("text/html"):
            return None
        self.addresses.append(address)
        return HTMLParser(response.text)

    def _follow(self, tree: HTMLParser, base: str) -> None:
        for node in tree.css("a[href], [hx-get]:not(form)"):
            is_part = "hx-get" in node.attributes
            target = urljoin(base, node.attributes["hx-get" if is_part else "href"] or "")
            parts = urlsplit(target)
            if parts.netloc or not parts.path.startswith("/") or "\n" in target:
                continue
            page = kind_of(parts.path)
            if not FILES.search(parts.path) and (page, is_part) not in self._seen | {("/", False)}:
                self._seen.add((page, is_part))
                self._ahead.append(Address(page, "by itself" if is_part else "", target, is_part))


def headers(address: Address) -> dict[str, str]:
    return {"HX-Request": "true"} if address.is_part else {}


def kind_of(path: str) -> str:
    return re.sub(r"\d+", "#", path)


def variations(tree: HTMLParser, url: str) -> Iterator[tuple[str, str]]:
    """Every filter, sort and page of a table that the page offers."""
    if last := last_page(tree, url):
        yield "last page", last
    if sizes := tree.css(".page-sizes a"):
        yield "most rows a page", urljoin(url, sizes[-1].attributes["href"] or "")
    for link in tree.css("th a[href*='sort=']"):
        query = dict(parse_qsl(urlsplit(link.attributes["href"] or "").query))
        name = next(one for one in query if one.endswith("sort"))
        for sort in (query[name].lstrip("-"), f"-{query[name].lstrip('-')}"):
            yield f"sorted by {sort}", with_query(url, {name: sort})
    for form in tree.css("form[method=get]"):
        target = urljoin(url, form.attributes.get("action") or url)
        if urlsplit(target).path != urlsplit(url).path:
            continue  # the search that stands on every page
        for field in form.css("select[name], input[name]"):
            for value in values(field, urlsplit(url).path):
                name = field.attributes["name"] or ""
                yield f"{name} = {value}", with_query(target, {name: value})


def values(field: Node, path: str) -> list[str]:
    """What the field is tried with."""
    kind = field.attributes.get("type") or "text"
    if field.tag == "select":
        offered = [one.attributes.get("value") or "" for one in field.css("option")]
        chosen = [value for value in offered if value]
        return chosen if len(chosen) <= FEW else [chosen[0], chosen[len(chosen) // 2], chosen[-1]]
    if kind == "date":
        return [DAY]
    return [WORDS.get(path, WORD)] if kind in ("text", "search", "number") else []


def last_page(tree: HTMLParser, url: str) -> str | None:
    """The address of the last one of several pages."""
    links = tree.css("a[rel=last]") or tree.css("ul.pages a:not([rel])")
    return urljoin(url, links[-1].attributes["href"] or "") if links else None


def with_query(url: str, query: dict[str, str]) -> str:
    parts = urlsplit(url)
    return f"{parts.path}?{urlencode({**dict(parse_qsl(parts.query)), **query})}"
