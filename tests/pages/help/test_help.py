"""The papers as pages, and the "?" beside each heading that leads to them."""

import re
from urllib.parse import urljoin

import pytest
from django.test import Client
from django.urls import resolve, reverse

from tests.databases import ROOT
from tests.pages.look import own_patterns, words
from tests.pages.things import arguments, things
from tests.records import user

# "take" is opened from a message, by people who may have no log-in, and so no papers.
NO_PAGES = re.compile("log(in|out)|take|help.*|.*_(csv|xlsx|export|template|bad_lines|download)")
DOCS = ROOT / "docs"
PAPERS = sorted(f"/help/{paper.relative_to(DOCS)}" for paper in DOCS.rglob("*.md"))
HELP = re.compile(r'<a class="help"\s+href="([^"]+)"')


@pytest.fixture
def client(db) -> Client:
    client = Client()
    client.force_login(user("administrator"))
    return client


def sections(language: str, name: str = "work") -> list[str]:
    return re.findall(r'<a id="([^"]+)"></a>', (ROOT / f"docs/{language}/{name}.md").read_text())


def test_the_question_mark_of_every_page_leads_to_a_section_in_both_languages(client, shop_all):
    about, wrong, pages = things(), [], 0
    for name in {pattern.name for pattern in own_patterns()}:
        if NO_PAGES.fullmatch(name):
            continue
        response = client.get(reverse(name, kwargs=arguments(name, about)))
        is_file = response.streaming or response.status_code != 200
        if is_file or b"<h1" not in response.content:
            continue
        pages += 1
        for url in HELP.findall(response.content.decode()) or [""]:
            path, _, section = url.partition("#")
            if not path or resolve(path).kwargs != {"language": "ru", "name": "work"}:
                wrong.append((name, url))
            if {section in sections(language) for language in ("ru", "en")} != {True}:
                wrong.append((name, url))
    assert pages > 50
    assert wrong == []


@pytest.mark.parametrize("name", sorted(path.stem for path in (ROOT / "docs/ru").glob("*.md")))
def test_both_languages_have_the_same_papers_with_the_same_sections(client, name):
    assert sections("ru", name) == sections("en", name)
    assert {path.name for path in (ROOT / "docs/ru").rglob("*.*")} == {
        path.name for path in (ROOT / "docs/en").rglob("*.*")
    }


def test_a_paper_is_a_page_in_the_readers_language(client):
    page = words(client.get("/help/ru/work.md"))
    assert "<h1> Страницы </h1>" in page
    assert '<a id="scheduler"></a>' in page
    client.cookies["django_language"] = "en"
    assert client.get("/help/ru/work.md").url == "/help/en/work.md"
    assert "<h1> The pages </h1>" in words(client.get("/help/en/work.md"))
    assert client.get("/help/").url == "/help/en/README.md"


@pytest.mark.parametrize("path", PAPERS)
def test_every_link_of_a_paper_leads_to_a_page_or_elsewhere(client, path):
    client.cookies["django_language"] = "en" if path.startswith("/help/en/") else "ru"
    page = client.get(path).content.decode()
    article = page.split('<article class="card card-body paper">')[1].split("</article>")[0]
    links = {urljoin(path, link) for link in re.findall(r'(?:href|src)="([^"#]+)', article)}
    found = {link: client.get(link, follow=True).status_code for link in links if link[0] == "/"}
    assert set(found.values()) <= {200}, found


@pytest.mark.parametrize(
    "path",
    ["ru/nothing.md", "ru/../../README.md", "ru/pictures/nothing.png", "x.conf"],
)
def test_nothing_else_can_be_read_there(client, path):
    assert client.get(f"/help/{path}").status_code in {302, 404}
    assert client.get(f"/help/{path}", follow=True).status_code == 404
