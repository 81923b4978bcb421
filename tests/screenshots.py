"""`make screenshots`: every page of the demo as a picture, in both languages and three widths.

`python -m tests.screenshots FOLDER` starts the demo with data of its own, follows every link from
the overview, one page of each kind, and stops the demo. The pictures are for looking: nothing is
compared with them.
"""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urljoin, urlsplit

from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from dtadmin.demo.processes import free_port

CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
LANGUAGES = ("ru", "en")
WIDTHS = (1280, 768, 390)
START_SECONDS = 180
HEIGHT_AT_MOST = 6000
# What no link leads to.
ASKED = ("/trace/?q=0011", "/trace/?q=4100000011&in=account", "/trace/?q=7780000000011&in=card")
NO_PAGES = re.compile(r"/(admin|logout)/|\.(csv|xlsx)$")


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    home, port = folder / "demo", free_port(8765)
    environment = {**os.environ, "DTADMIN_VAR": str(home), "DEMO_PORT": str(port)}
    with (folder / "demo.log").open("wb") as log:
        demo = subprocess.Popen(
            [sys.executable, "-m", "dtadmin.demo"], env=environment, stdout=log, stderr=log
        )
        try:
            take(folder, f"http://127.0.0.1:{port}", home / "demo_password", demo)
        finally:
            demo.send_signal(signal.SIGINT)
            demo.wait()


def take(folder: Path, site: str, password: Path, demo: subprocess.Popen[bytes]) -> None:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        wait_for(browser, site, demo)
        first = logged_in(browser, site, password.read_text())
        cookies = first.cookies()
        pages = dict(walk(first, site))
        for language in LANGUAGES:
            for width in WIDTHS:
                context = browser.new_context(
                    viewport={"width": width, "height": 800}, locale="ru-RU", has_touch=width < 500
                )
                context.add_cookies(cookies)
                context.add_cookies([{"name": "django_language", "value": language, "url": site}])
                shoot(context.new_page(), pages, folder / f"{language}-{width}")
                context.close()
        browser.close()
    print(f"{len(pages)} pages in {folder}")  # noqa: T201


def wait_for(browser: Browser, site: str, demo: subprocess.Popen[bytes]) -> None:
    """Until the demo answers."""
    until, context = time.monotonic() + START_SECONDS, browser.new_context()
    while demo.poll() is None and time.monotonic() < until:
        try:
            if context.request.get(f"{site}/login/").ok:
                return context.close()
        except Exception:  # it does not listen yet
            time.sleep(1)
    raise SystemExit("The demo does not start: see demo.log.")


def logged_in(browser: Browser, site: str, password: str) -> BrowserContext:
    context = browser.new_context()
    page = context.new_page()
    page.goto(f"{site}/login/")
    page.fill("[name=username]", "admin")
    page.fill("[name=password]", password)
    page.click("main button")
    page.wait_for_url(f"{site}/")
    return context


def walk(context: BrowserContext, site: str) -> Iterator[tuple[str, str]]:
    """Name and address of one page of each kind, in the order in which links lead to them."""
    page, known = context.new_page(), set()
    queue = [f"{site}/", *(site + path for path in ASKED)]
    for url in queue:
        name = name_of(url)
        if name in known or NO_PAGES.search(urlsplit(url).path):
            continue
        known.add(name)
        answer = context.request.get(url)
        if not answer.headers.get("content-type", "").startswith("text/html") or not answer.ok:
            continue
        yield name, url
        page.goto(url)
        links = page.eval_on_selector_all(
            "a[href]", "all => all.map(one => new URL(one.getAttribute('href'), location).href)"
        )
        queue += [link for link in links if link.startswith(f"{site}/") and "?" not in link]


def name_of(url: str) -> str:
    """The same for all pages of a kind: "history-runs-N"; with what was asked, where it matters."""
    parts = urlsplit(urljoin(url, ""))
    asked = parts.query if "trace" in parts.path else ""
    words = re.sub(r"\d+", "N", f"{parts.path} {asked}")
    return re.sub(r"[^A-Za-z]+", "-", words).strip("-") or "overview"


def shoot(page: Page, pages: dict[str, str], folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    for name, url in pages.items():
        page.goto(url)
        page.locator("[data-poll='0.2'], .htmx-request").first.wait_for(state="detached")
        size = page.evaluate("[innerWidth, document.documentElement.scrollHeight]")
        clip = {"x": 0, "y": 0, "width": size[0], "height": min(size[1], HEIGHT_AT_MOST)}
        page.screenshot(path=folder / f"{name}.png", full_page=True, clip=clip)


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "var/screenshots").resolve())
