"""Users who follow links and press buttons at random, each in a browser of their own."""

import random
import re
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from html.parser import HTMLParser

import httpx2

START = ["/", "/scheduler/", "/history/", "/rejects/", "/load/", "/registers/", "/servers/",
         "/trace/?q=1-7", "/audit/"]  # fmt: skip
FILES = ["/history/export.csv", "/history/export.xlsx", "/rejects/export.csv",
         "/registers/export.csv", "/audit/"]  # fmt: skip
# What would end the log-in, or change what the test relies on, is not pressed.
PRESSED = re.compile(
    r"^/(scheduler/(bulk|transfer-)|rejects/|load/|history/runs/|servers/\d+/(test|rec))"
)
FOLLOWED = re.compile(r"^/(scheduler|history|rejects|load|registers|servers|trace|audit|shops)/")


@dataclass
class Form:
    action: str
    fields: list[tuple[str, str]] = field(default_factory=list)
    buttons: list[tuple[str, str]] = field(default_factory=list)


class Page(HTMLParser):
    """The links and the forms of a page, with the values of their fields."""

    def __init__(self, html: str, address: str) -> None:
        super().__init__()
        self.address = address
        self.links: list[str] = []
        self.forms: list[Form] = []
        self._form: Form | None = None
        self._select = ""
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        values = {name: value or "" for name, value in attrs}
        if tag == "a":
            self.links.append(values.get("href", ""))
        elif tag == "form":
            self._form = Form(values.get("action") or self.address)
            if values.get("method", "").lower() == "post":
                self.forms.append(self._form)
        elif self._form is not None:
            self.field(tag, values)

    def handle_endtag(self, tag):
        if tag == "form":
            self._form = None

    def field(self, tag: str, values: dict[str, str]) -> None:
        name, kind = values.get("name", ""), values.get("type", "text")
        if tag == "select":
            self._select = name
        elif tag == "option" and "selected" in values:
            self._form.fields.append((self._select, values.get("value", "")))
        elif tag == "button" and name:
            self._form.buttons.append((name, values.get("value", "")))
        elif tag == "input" and name and kind not in ("file", "submit"):
            chosen = kind not in ("checkbox", "radio") or "checked" in values
            if chosen or (kind == "checkbox" and random.random() < 0.2):
                self._form.fields.append((name, values.get("value", "on")))


class User(threading.Thread):
    def __init__(self, number: int, browser: httpx2.Client, stop: threading.Event) -> None:
        super().__init__(name=f"user {number}", daemon=True)
        self.number, self.browser, self.stop = number, browser, stop
        self.chance = random.Random(number)
        self.seconds: dict[str, list[float]] = {"page": [], "press": [], "file": [], "upload": []}
        self.statuses: Counter[int] = Counter()
        self.wrong: list[str] = []
        self.uploads = 0

    def run(self) -> None:
        while not self.stop.is_set():
            page = self.ask("page", "GET", self.chance.choice(START))
            for _ in range(self.chance.randrange(4)):
                page = self.go_on(page)

    def go_on(self, page: Page | None) -> Page | None:
        what = self.chance.random()
        if what < 0.1:
            return self.ask("file", "GET", self.chance.choice(FILES))
        if what < 0.2:
            return self.upload()
        if page is None:
            return None
        forms = [form for form in page.forms if PRESSED.match(form.action)]
        links = [link for link in page.links if FOLLOWED.match(link)]
        if forms and what < 0.6:
            form = self.chance.choice(forms)
            pressed = [self.chance.choice(form.buttons)] if form.buttons else []
            return self.ask("press", "POST", form.action, [*form.fields, *pressed])
        return self.ask("page", "GET", self.chance.choice(links)) if links else None

    def upload(self) -> Page | None:
        """A file of balance changes, one of them bad, to be confirmed on the page that follows."""
        self.uploads += 1
        name = f"{self.number}-{self.uploads}"
        lines = ["account;amount;comment", *(f"u{name}-{n};{n}.50;{name}" for n in range(1, 30))]
        page = self.ask("page", "GET", "/load/")
        form = (
            next((one for one in page.forms if one.action == "/load/file/"), None) if page else None
        )
        if form is None:
            return None
        files = {"file": (f"{name}.csv", "\n".join([*lines, "bad;0.001;x"]))}
        fields = [(key, "balances" if key == "kind" else value) for key, value in form.fields]
        return self.ask("upload", "POST", form.action, [*fields, ("kind", "balances")], files)

    def ask(self, sort: str, method: str, address: str, fields=(), files=None) -> Page | None:
        began = time.monotonic()
        data: dict[str, list[str]] = {}
        for name, value in fields:
            data.setdefault(name, []).append(value)
        try:
            answer = self.browser.request(
                method, address, data=data or None, files=files, follow_redirects=True
            )
        except httpx2.TransportError as error:
            self.wrong.append(f"{method} {address}: {error!r}")
            return None
        self.seconds[sort].append(time.monotonic() - began)
        self.statuses[answer.status_code] += 1
        if answer.status_code >= 500:
            self.wrong.append(f"{method} {address}: {answer.status_code}")
        is_page = "text/html" in answer.headers.get("content-type", "")
        return Page(answer.text, answer.url.path) if is_page else None
