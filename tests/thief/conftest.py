"""Somebody who looks at what a thief has done."""

import pytest

from tests.records import user


@pytest.fixture
def administrator(client, settings):
    settings.LANGUAGE_CODE = "en"
    client.force_login(user("administrator", "anna"))
    return client
