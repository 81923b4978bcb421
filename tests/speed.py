"""What is done hundreds of times takes no time, and the longest files come first."""

import gc
from functools import cache

import pytest
from django.apps import apps
from django.conf import settings
from django.contrib.auth.hashers import PBKDF2PasswordHasher
from django.core.management.commands import flush
from django.db import connection

from transfer.access import create_groups
from transfer.models.maintenance import create_maintenance_tasks

OF_MODELS = {"django_content_type", "auth_permission"}
LONGEST = (
    "browser/test_every_page.py",
    "engine/test_every_statement.py",
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
    "management/test_doctor.py",
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
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begins with the longest files: a worker that takes one at the end lets the others wait."""
    places = {f"tests/{name}": place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.nodeid.partition("::")[0], len(places)))


@cache
def emptying() -> str:
    """SQL that takes all rows out of our own tables."""
    tables = connection.introspection.django_table_names(only_existing=True, include_views=False)
    deletes = [f'delete from "{table}"' for table in {*tables} - OF_MODELS]
    # The audit's trigger lets nothing else remove a row.
    return "; ".join(["set local transfer.retention = on", *deletes])


@pytest.fixture(scope="session", autouse=True)
def quick() -> None:
    """What the tests do hundreds of times, and a server once, takes them no time.

    Each client builds the middleware again, and whitenoise would read all static files for it. A
    password is hashed in one round. Tables are emptied without TRUNCATE, which creates new files:
    foreign keys are checked at the end of the transaction, so rows go in any order. Of what
    migrations make in them, what no test changes stays, and the rest is made again by who makes it.
    """
    gc.collect()
    gc.freeze()  # Django, Chromium's driver and pytest stay: a collection need not look at them
    gc.set_threshold(10_000, 20, 20)
    settings.WHITENOISE_AUTOREFRESH = True
    PBKDF2PasswordHasher.iterations = 1
    flush.sql_flush = lambda *_, **__: [emptying()]
    flush.emit_post_migrate_signal = lambda _verbosity, _interactive, using: (
        create_groups(using),
        create_maintenance_tasks(apps.get_app_config("transfer"), using),
    )
