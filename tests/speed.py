"""What is done hundreds of times takes no time, and the longest files come first."""

import gc

import pytest
from django.conf import settings
from django.contrib.auth.hashers import PBKDF2PasswordHasher
from django.test import TransactionTestCase

from tests.emptied import empty, some_are_used_up

LONGEST = (
    "browser/test_every_page.py",
    "engine/test_every_statement.py",
    "thief/test_bonus_server.py",
    "thief/test_shop_all.py",
    "management/test_doctor.py",
    "management/test_setup.py",
    "management/test_crontab.py",
    "chaos/test_time.py",
    "pages/test_every_url.py",
    "test_backup.py",
    "test_secrets.py",
    "chaos/test_fuzz.py",
    "browser/test_refreshing.py",
    "browser/test_servers.py",
    "browser/test_load.py",
    "alerts/test_messengers.py",
    "chaos/test_chaos.py",
    "thief/test_webhook.py",
    "management/test_backup.py",
    "loading/test_property.py",
    "engine/test_property.py",
    "thief/test_silent_database.py",
    "test_embedded.py",
    "management/test_migrate.py",
    "chaos/test_broken_on_purpose.py",
    "pages/servers/test_failing.py",
    "test_gunicorn.py",
    "test_behind_proxy.py",
    "browser/test_many_servers.py",
    "problems/test_problems.py",
    "browser/test_components.py",
    "browser/test_scheduler.py",
    "thief/test_writer.py",
    "browser/test_phone.py",
    "browser/test_bulk.py",
    "problems/test_one_begin.py",
    "pages/test_refreshes.py",
    "thief/test_answer_size.py",
    "thief/test_provider.py",
    "test_proxy_socket.py",
    "thief/test_forged_rejects.py",
    "runs/test_left_behind.py",
    "runs/test_arrivals.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begins with the longest files: a worker that takes one at the end lets the others wait."""
    places = {f"tests/{name}": place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.nodeid.partition("::")[0], len(places)))


@pytest.fixture(scope="session", autouse=True)
def quick() -> None:
    """What the tests do hundreds of times, and a server once, takes them no time.

    Each client builds the middleware again, and whitenoise would read all static files for it. A
    password is hashed in one round. After a test that commits, rows are taken out by one statement,
    not by `flush` and what migrations do after it, and its session goes on: a new one has to learn
    the tables again.
    """
    gc.collect()
    gc.freeze()  # Django, Chromium's driver and pytest stay: a collection need not look at them
    gc.set_threshold(10_000, 20, 20)
    settings.WHITENOISE_AUTOREFRESH = True
    PBKDF2PasswordHasher.iterations = 1
    TransactionTestCase._fixture_teardown = empty
    TransactionTestCase._should_reload_connections = some_are_used_up
