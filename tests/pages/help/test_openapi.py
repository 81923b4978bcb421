"""The page of the API's calls: made from docs/api/openapi.json, without anything from elsewhere."""

import json
import re

import pytest
from django.test import Client

from tests.databases import ROOT
from tests.pages.look import words
from tests.records import user

pytestmark = pytest.mark.django_db
URL = "/help/api/openapi.json"
DOCUMENT = json.loads((ROOT / "docs/api/openapi.json").read_text())


@pytest.fixture
def article() -> str:
    client = Client()
    client.force_login(user("viewer"))
    client.cookies["django_language"] = "en"
    page = client.get(URL).content.decode()
    return page.split('<article class="card card-body paper">')[1].split("</article>")[0]


def test_each_call_is_there_with_its_parameters_and_answers(article):
    parts = article.split("<h3>")
    for path, methods in DOCUMENT["paths"].items():
        for method, call in methods.items():
            (part,) = [one for one in parts if one.startswith(f"{method.upper()} {path}<")]
            assert call["summary"] in words_of(part)
            for parameter in call.get("parameters", []):
                assert f"<code>{parameter['name']}</code>" in part
            assert all(status in part for status in call["responses"])


def words_of(part: str) -> str:
    return re.sub(r"<[^>]+>", "", part).replace("&quot;", '"')


def test_each_object_is_there_with_its_fields_and_each_link_leads_to_one(article):
    objects = DOCUMENT["components"]["schemas"]
    anchors = re.findall(r'<a id="(\w+)">', article)
    assert sorted(anchors) == sorted(objects)
    assert set(re.findall(r'href="([^"]+)"', article)) <= {f"#{name}" for name in objects}
    for shape in objects.values():
        for field in shape.get("properties", {}):
            assert f"<code>{field}</code>" in article


def test_the_example_of_a_load_is_there(article):
    assert "4100000011" in article
    assert not re.search(r"pincode&quot;: &quot;\d", article)


def test_the_paper_about_the_api_leads_there(client):
    client.force_login(user("viewer"))
    for language, heading in {"ru": "Все вызовы и поля API", "en": "every call and field"}.items():
        client.cookies["django_language"] = language
        assert '"../api/openapi.json"' in client.get(f"/help/{language}/api.md").content.decode()
        assert heading in words(client.get(URL))
