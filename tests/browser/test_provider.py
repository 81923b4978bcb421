"""The log-in at a provider, in a browser: there and back with one click."""

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import use_language
from tests.databases import WORKER
from tests.oidc_provider import Provider, oidc_provider

pytestmark = [pytest.mark.long, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def provider(postgres: Any, live_server: Any, settings: Any) -> Iterator[Provider]:
    name = f"test_browsers_provider_{WORKER}"
    dsn = postgres.create(name)
    with oidc_provider(dsn, f"{live_server.url}/login/sso/callback/") as provider:
        for one, value in provider.settings().items():
            setattr(settings, one, value)
        provider.has("anna", "dt")
        yield provider
    postgres.drop(name)


@pytest.fixture
def expected_trouble() -> list[str]:
    return ["a request left the server: http://127.0.0.1"]


def test_leads_there_and_back_to_the_page_that_was_wanted(
    provider: Provider, page: Page, check_accessible: Any
):
    page.goto("/history/")
    for language in ("ru", "en"):
        use_language(page, language)
        page.reload()
        check_accessible(page)
    page.get_by_role("link", name="Log in at Keycloak").click()
    page.fill("[name=name]", "anna")
    page.click("button")
    expect(page).to_have_url("/history/")
    expect(page.locator(".side-end")).to_contain_text("Anna")
