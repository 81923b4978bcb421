"""A key that signs statements, and months in which what tests do has happened."""

from datetime import date, timedelta

import pytest
from django.utils import timezone

from tests.databases import query
from transfer.models import ServerDay, Settings
from transfer.statements.document import write_new_key
from transfer.statements.period import Period


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

    return month


@pytest.fixture
def last_days():
    """The period from so many days ago, to so many days ago."""

    def period(first: int, last: int) -> Period:
        zone = Settings.load().zone
        today: date = timezone.now().astimezone(zone).date()
        return Period(today - timedelta(first), today - timedelta(last), zone)

    return period
