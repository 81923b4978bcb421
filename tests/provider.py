"""A company's provider for tests of pages, in the settings, and the way there and back."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.core.cache import cache
from django.test import Client

from tests.databases import WORKER
from tests.oidc_provider import Provider, oidc_provider


@pytest.fixture(scope="module")
def provider_process(postgres: Any) -> Iterator[Provider]:
    name = f"test_provider_{WORKER}"
    dsn = postgres.create(name)
    with oidc_provider(dsn) as provider:
        yield provider
    postgres.drop(name)


@pytest.fixture
def provider(provider_process: Provider, settings: Any) -> Provider:
    """The provider, which the settings name, with anna as an operator."""
    settings.LANGUAGE_CODE = "en"
    for name, value in provider_process.settings().items():
        setattr(settings, name, value)
    cache.clear()
    provider_process.has("anna", "dt")
    provider_process.says("anna")
    return provider_process


def log_in(provider: Provider, browser: Client, name: str = "anna", to: str = "/") -> Any:
    """Go the whole way, to the provider and back; return the last answer."""
    sent = browser.get(f"/login/sso/?next={to}")
    back = provider.let_in(name, sent.url)
    return browser.get(back.removeprefix("http://testserver"))


def is_in(browser: Client) -> bool:
    return browser.get("/account/").status_code == 200
