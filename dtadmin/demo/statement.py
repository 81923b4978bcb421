"""The statement of last month in the demo, which begins with the rows that it has just moved."""

from datetime import timedelta

import psycopg2
from django.conf import settings
from django.utils import timezone

from transfer.models import Actor, RejectedRow, ServerDay, Statement
from transfer.statements.document import write_new_key
from transfer.statements.keep import make
from transfer.statements.period import Period

# Lets the demo have begun last month: a statement is of a period that is over.
BEGAN_EARLIER = "update datatransfer.log set appended_at = %s"


def key_file() -> str:
    """Return the file of the demo's key, which is made the first time."""
    file = settings.VAR / "statement.pem"
    if not file.exists():
        write_new_key(str(file))
    return str(file)


def make_first() -> None:
    """Make the statement of last month, once."""
    if Statement.objects.exists():
        return
    period = Period.month_before(timezone.now())
    at = period.ends - timedelta(days=3)
    with psycopg2.connect(settings.SHOP_ALL_DATABASE_URL) as shop_all, shop_all.cursor() as cursor:
        cursor.execute(BEGAN_EARLIER, [at])
    ServerDay.objects.update(day=at.date())
    rejects = [*RejectedRow.objects.only("created_at")]
    RejectedRow.objects.update(created_at=at)
    settings.STATEMENT_KEY = key_file()
    make(period, None, Actor.at_command_line())
    # They wait for a decision since they were rejected.
    RejectedRow.objects.bulk_update(rejects, ["created_at"])
