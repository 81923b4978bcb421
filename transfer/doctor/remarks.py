"""What administrators should know though nothing is wrong: keys, replication, sizes."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from django.conf import settings
from django.template.defaultfilters import filesizeformat
from django.utils import timezone

from transfer.doctor.installation import NIGHTLY
from transfer.engine.bonus_server.receipts import Receipts
from transfer.engine.postgres.database import Database
from transfer.engine.shop_all.identity import Identity
from transfer.engine.shop_all.lifetime import size_of_log
from transfer.installed import installed_kinds
from transfer.models import Settings
from transfer.parties import gettext_noop
from transfer.servers.stages import PUBLISHED, Remark
from transfer.servers.timed_check import Passed
from transfer.text import formats

# Publications of tables: their names, and the tables as we have named them. By the catalogue.
PUBLISHED_IN = """
    select string_agg(distinct pubname, ', '), string_agg(distinct name, ', ')
      from unnest(%s) as name join pg_class on pg_class.oid = to_regclass(name)
      join pg_namespace on pg_namespace.oid = relnamespace
      join pg_publication_tables on schemaname = nspname and tablename = relname
"""
# Likewise subscriptions that fill them.
FILLED_BY = """
    select string_agg(distinct subname, ', '), string_agg(distinct name, ', ')
      from unnest(%s) as name join pg_subscription_rel on srrelid = to_regclass(name)
      join pg_subscription on pg_subscription.oid = srsubid
"""
REPEATS_NOTHING = gettext_noop(
    "%(table)s takes no second row with the same values, by its index %(index)s: there changed "
    "rows can't be sent, rejects not corrected, and loads not taken back"
)
SUBSCRIBED = gettext_noop(
    "a subscription (%(names)s) fills %(tables)s, and our triggers refuse its rows: end it, or "
    "remove the triggers until shop All has moved here"
)


def remarks(database: Database) -> Iterator[Remark]:
    """What an administrator should know of the staging tables, beside what `relations` finds."""
    kinds = installed_kinds().values()
    for kind in kinds:
        if index := Identity(database).unique_over_values(kind):
            yield REPEATS_NOTHING, {"table": kind.staging, "index": index}
    tables = [kind.staging_table for kind in kinds]
    for sentence, query in ((PUBLISHED, PUBLISHED_IN), (SUBSCRIBED, FILLED_BY)):
        names, found = database.only_row(query, [tables])
        if names:
            yield sentence, {"names": names, "tables": found}


def try_log(database: Database) -> Passed:
    """Say how large the log is, and compare its lifetime with our own nightly backups."""
    with database, database.transaction(commit=False):
        size = size_of_log(database)
    days = Settings.load().log_days
    params = {
        "lines": formats.number(size.rows),
        "size": filesizeformat(size.bytes),
        "days": days,
    }
    oldest = None  # when the oldest of our own nightly backups was written
    if settings.BACKUP_FOLDER:
        written = [one.stat().st_mtime for one in Path(settings.BACKUP_FOLDER).glob(NIGHTLY)]
        if written:
            oldest = datetime.fromtimestamp(min(written), UTC)
    if oldest is not None and timezone.now() - oldest > timedelta(days):
        sentence = gettext_noop(
            "The log has about %(lines)s lines (%(size)s). Lines are kept for %(days)s days, but "
            "the folder of backups has one of %(at)s. Keep lines longer, in the settings, or "
            "remove that backup."
        )
        return Passed(sentence, params | {"at": formats.moment(oldest)}, warns=True)
    sentence = gettext_noop(
        "The log has about %(lines)s lines (%(size)s). Lines are kept for %(days)s days: at least "
        "as long as any backup that may be restored, of shop All, a bonus server or our own "
        "database."
    )
    return Passed(sentence, params)


def try_receipts(database: Database) -> Passed:
    """Say how large a bonus server's notes of its past are."""
    with database, database.transaction(commit=False):
        sizes = Receipts(database).sizes()
    params = {
        "receipts": formats.number(sum(rows for rows, _size in sizes.values())),
        "size": filesizeformat(sum(size for _rows, size in sizes.values())),
    }
    return Passed(
        gettext_noop("Receipts and exceptions: about %(receipts)s rows (%(size)s)."), params
    )
