"""A key that signs statements, and months in which what tests do has happened."""

import json
from datetime import date, timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.utils import timezone

from tests.databases import query
from transfer.engine.received import NO_MARK
from transfer.models import ServerDay, Settings, Statement
from transfer.statements.changes import LISTS
from transfer.statements.document import digest_of, signed, write_new_key
from transfer.statements.period import Period
from transfer.statements.words import OF_LOG


def a_statement() -> Statement:
    """A kept statement of a month in which nothing happened."""
    nothing = {"rows": 0, "amount": "0.00"}
    place = {"number": 0, "mark": NO_MARK}
    log = {"opening": place, "closing": place, "lines": 0, "unknown_days": []}
    log |= dict.fromkeys(OF_LOG, nothing)
    content = {
        "installation": str(Settings.load().installation),
        "number": 1,
        "previous": None,
        "made_at": "2026-11-01T06:00:00+03:00",
        "made_by": "",
        "period": {"from": "2026-10-01", "to": "2026-10-31", "time_zone": "Europe/Moscow"},
        "server": None,
        "shop_all": NO_MARK,
        "kinds": [{"kind": "balances", "log": log, "servers": []}],
        **{name: [] for name in (*LISTS, "changes", "since")},
        "before": None,
        "not_in_chain": [],
    }
    text = signed(content, Ed25519PrivateKey.generate())
    return Statement.objects.create(
        number=1,
        made_at=timezone.now(),
        first=date(2026, 10, 1),
        last=date(2026, 10, 31),
        digest=digest_of(json.loads(text)["statement"]),
        document=text,
    )


@pytest.fixture
def key(tmp_path, settings):
    """A key that signs statements, which the settings name; the public one, as a file."""
    file = tmp_path / "statement.pem"
    public = tmp_path / "public.pem"
    public.write_text(write_new_key(str(file)))
    settings.STATEMENT_KEY = str(file)
    return public


@pytest.fixture
def month(shop_all):
    """Moves all that has happened so far into a month, by days: `month(40)`."""

    def month(days: int) -> None:
        query(
            shop_all,
            "update datatransfer.log set appended_at = appended_at - make_interval(days => %s)"
            " where appended_at > now() - interval '1 hour'",
            [days],
        )
        today = timezone.now().astimezone(Settings.load().zone).date()
        ServerDay.objects.filter(day=today).update(day=today - timedelta(days))
        query(
            shop_all,
            "update datatransfer.kept set name = replace(name, %(from)s, %(to)s)"
            " where what = 'server_day' and name like '%%' || %(from)s || '%%'",
            {"from": str(today), "to": str(today - timedelta(days))},
        )

    return month


@pytest.fixture
def last_days():
    """The period from so many days ago, to so many days ago."""

    def period(first: int, last: int) -> Period:
        zone = Settings.load().zone
        today: date = timezone.now().astimezone(zone).date()
        return Period(today - timedelta(first), today - timedelta(last), zone)

    return period
