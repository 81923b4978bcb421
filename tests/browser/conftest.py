"""A live server and Debian's Chromium. Any error in the page fails the test."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.contrib.auth.models import Group, User
from django.test import Client
from playwright.sync_api import Browser, Page, expect, sync_playwright
from psycopg2.extensions import parse_dsn

from tests.reference_server import TOKEN

# Playwright's loop runs in the test's thread, and Django refuses the ORM inside of a loop.
os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"

# The same Chromium without windows: a browser of its own costs a test a third of the time.
CHROMIUM = (
    os.environ.get("CHROMIUM")
    or shutil.which("chromium-headless-shell")
    or shutil.which("chromium")
    or "/usr/bin/chromium"
)
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-quic",
    "--no-first-run",
    "--disable-component-update",
    "--disable-sync",
]
GALLERY = "tests.browser.gallery"
PASSWORD = "correct horse battery"
AXE = Axe().axe_script
PATIENCE = 30_000  # ms: several browsers share the processors
expect.set_options(timeout=PATIENCE)
DESKTOP = {"width": 1280, "height": 800}
TABLET = {"width": 768, "height": 1024}
PHONE = {"width": 390, "height": 844}
STANDARDS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
ALL_RULES = {"type": "tag", "values": STANDARDS}
MENU = ["header.side", "header.top", "footer.side-end"]
# The dark theme differs in nothing but its colours.
IN_BOTH_THEMES = {
    "light": ALL_RULES,
    "dark": {"type": "rule", "values": ["color-contrast"]},
}
LIGHT = {"light": ALL_RULES}


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


class Trouble(list[str]):
    """What a page did wrong: errors of the console and of scripts, requests to elsewhere."""

    def __init__(self, page: Page, own: str) -> None:
        self.own = urlsplit(own).netloc
        page.on("console", self.console)
        page.on("pageerror", lambda error: self.append(f"page error: {error}"))
        page.on("request", self.request)

    def console(self, message: Any) -> None:
        # Chromium reports each error page as an error of the console.
        if message.type in {"error", "warning"} and "the server responded with" not in message.text:
            self.append(f"console: {message.text}")

    def request(self, request: Any) -> None:
        url = urlsplit(request.url)
        if url.scheme not in {"data", "blob"} and url.netloc != self.own:
            self.append(f"a request left the server: {request.url}")


@pytest.fixture
def expected_trouble() -> list[str]:
    """What a test provokes: messages with one of these texts don't fail it."""
    return []


@pytest.fixture
def open_page(
    browser: Browser, live_server: Any, expected_trouble: list[str]
) -> Iterator[Callable[..., Page]]:
    """Opens a page in a browser of its own: `open_page(viewport=PHONE, java_script_enabled=…)`."""
    opened: list[tuple[Any, Trouble]] = []

    def open_page(**options: Any) -> Page:
        options = {"viewport": DESKTOP, "locale": "ru-RU", "reduced_motion": "reduce"} | options
        context = browser.new_context(base_url=live_server.url, **options)
        page = context.new_page()
        page.set_default_timeout(PATIENCE)
        opened.append((context, Trouble(page, live_server.url)))
        return page

    yield open_page
    for context, _ in opened:
        context.close()
    troubles = [trouble for _, troubles in opened for trouble in troubles]
    assert [one for one in troubles if not any(text in one for text in expected_trouble)] == []


@pytest.fixture
def phone(open_page: Callable[..., Page]) -> Page:
    return open_page(viewport=PHONE, has_touch=True, is_mobile=True)


@pytest.fixture
def page(open_page: Callable[..., Page]) -> Page:
    """A page at the width of a desktop. Console errors and foreign requests fail the test."""
    return open_page()


@pytest.fixture
def gallery(settings: Any) -> None:
    """For tests with `@pytest.mark.urls(GALLERY)`: the templates that only the tests have."""
    (engine,) = settings.TEMPLATES
    own_templates = Path(__file__).parent / "templates"
    settings.TEMPLATES = [{**engine, "DIRS": [*engine["DIRS"], own_templates]}]


@pytest.fixture
def log_in(live_server: Any) -> Callable[..., User]:
    """Makes a user with the role, as whom the page is logged in: `log_in(page, "operator")`.

    None means no role. The form of the log-in has tests of its own.
    """

    def log_in(page: Page, role: str | None, name: str = "olga") -> User:
        user, client = make_user(name, role), Client()
        client.force_login(user)
        set_cookie(page, "sessionid", client.cookies["sessionid"].value)
        return user

    return log_in


def make_user(name: str, role: str | None) -> User:
    user = User.objects.create_user(name, password=PASSWORD)
    if role:
        user.groups.add(Group.objects.get(name=role))
    return user


def use_language(page: Page, language: str) -> None:
    """As if the user had chosen it."""
    set_cookie(page, "django_language", language)


def use_theme(page: Page, theme: str) -> None:
    set_cookie(page, "theme", theme)


def set_cookie(page: Page, name: str, value: str) -> None:
    """The address of the live server, at any port."""
    page.context.add_cookies([{"name": name, "value": value, "domain": "localhost", "path": "/"}])


def fill_server(page: Page, reference: Any, dsn: str) -> None:
    """Fills in the form that docks the reference server, whose database has the DSN."""
    page.goto("/servers/add/")
    fill_fields(page, reference, dsn)


def fill_fields(page: Page, reference: Any, dsn: str, name: str = "Бонусный сервер 8") -> None:
    """Likewise, on the page that is open."""
    database = parse_dsn(dsn)
    values = {
        "name": name,
        "host": "127.0.0.1",
        "admin_port": reference.admin_port,
        "work_port": reference.work_port,
        "api_token": TOKEN,
        "db_host": database["host"],
        "db_port": database.get("port", "5432"),
        "db_name": database["dbname"],
        "db_user": database.get("user", ""),
        "db_password": database.get("password", ""),
    }
    for name, value in values.items():
        page.fill(f"[name={name}]", str(value))


@pytest.fixture
def check_accessible() -> Callable[..., None]:
    """Fails on any finding of axe on the page: by these rules in the themes that they name.

    Without `menu=True` but for the menu, which is the same on all pages. Both themes are looked at
    where components and whole pages are: test_components.py, test_every_page.py.
    """

    def check_accessible(page: Page, rules: dict[str, Any] = LIGHT, *, menu: bool = False) -> None:
        if not page.evaluate("'axe' in window"):
            page.evaluate(AXE)
        context = {"include": ["html"], "exclude": [] if menu else MENU}
        violations = {theme: violations_in(page, theme, rules[theme], context) for theme in rules}
        page.emulate_media(color_scheme="light")
        assert violations == {theme: [] for theme in rules}

    return check_accessible


def violations_in(
    page: Page, theme: str, rules: dict[str, Any], context: dict[str, Any]
) -> list[str]:
    page.emulate_media(color_scheme=theme)
    # It would fetch styles, which no rule that runs asks for, and sounds, which no page has.
    options = {"runOnly": rules, "resultTypes": ["violations"], "preload": False}
    results = page.evaluate("([context, options]) => axe.run(context, options)", [context, options])
    return [
        f"{one['id']}: {one['help']}: {[node['html'][:160] for node in one['nodes']][:3]}"
        for one in results["violations"]
    ]
