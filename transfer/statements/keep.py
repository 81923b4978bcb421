"""Makes statements, and keeps them: each is the next one of one chain."""

import json
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.conf import settings
from django.db import transaction
from django.utils import timezone

from transfer.causes.statements import PERIOD_BEFORE_FIRST_LINE
from transfer.engine.shop_all.source import ShopAll
from transfer.errors import TransferError
from transfer.installed import installed_kinds
from transfer.models import (
    Actor,
    AuditEntry,
    BonusServer,
    Settings,
    Statement,
)
from transfer.models.alerts import Notice, Recipient
from transfer.statements.changes import answers_since, changes_between
from transfer.statements.copies import (
    exchange_days,
    kept_in,
    take_back_statements,
    write_days,
    write_statements,
)
from transfer.statements.count import count_period
from transfer.statements.document import Document, digest_of, read_key, signed
from transfer.statements.log_days import keep_log_days
from transfer.statements.period import Period


def content_of(statement: Statement) -> dict[str, Any]:
    """Return what a kept statement says."""
    content: dict[str, Any] = json.loads(statement.document)["statement"]
    return content


def make(
    period: Period,
    server: BonusServer | None,
    actor: Actor,
    recipients: Iterable[Recipient] = (),
    seconds: float | None = None,
) -> Statement:
    """Count a period, sign the statement, and keep it as the next one of the chain. Audited.

    1. Takes back the daily sums that a restore of our own database has lost, and counts.
    2. Takes back the statements that it has lost; names those that do not fit into the chain.
    3. Signs and keeps the next one: its copy in shop All first, so that no other database which
       goes on from this one makes it a second time. Messages to the recipients are queued.

    If one of the same period and server was kept before, the new one names it, and what has changed
    since. With `seconds`, a page waits for shop All.

    Raises KEY_NOT_NAMED, KEY_OPEN, KEY_INVALID, PERIOD_BEFORE_FIRST_LINE, and TransferError where
    shop All does not answer. Then nothing is kept.
    """
    key = read_key(settings.STATEMENT_KEY)
    with _shop_all(seconds) as source:
        exchange_days(source)
        figures = count_period(period, server, seconds)
        # Our own commit comes last: a statement that it loses comes back from its copy.
        with transaction.atomic(), source.database.transaction():
            # One at a time: each names the one before.
            own = Settings.objects.select_for_update().get(pk=Settings.load().pk)
            kept = kept_in(source)
            kept.lock()
            others = take_back_statements(kept, key.public_key())
            content = {
                "installation": str(own.installation),
                "made_by": actor.name,
                "period": period.as_json(),
                "server": {"id": server.pk, "name": server.name} if server else None,
                "not_in_chain": [one.as_json() for one in others],
                **figures,
            }
            statement = _sign(content, period, server, key)
            new: dict[str, Any] = {"digest": statement.digest}
            for recipient in recipients:
                _send(statement, recipient)
                new.setdefault("sent_to", []).append(recipient.name)
            AuditEntry.record(actor, AuditEntry.Action.STATEMENT, statement, new=new)
            write_statements(kept)
    return statement


def _send(statement: Statement, recipient: Recipient) -> None:
    """Put the message that brings it into the queue; sent once, and again as any other one."""
    event, params = Notice.Event.STATEMENT, {"number": statement.number}
    Notice(recipient=recipient, event=event, params=params).queue()


def _sign(
    content: dict[str, Any], period: Period, server: BonusServer | None, key: Ed25519PrivateKey
) -> Statement:
    """Sign and keep the next statement of the chain."""
    last, now = Statement.objects.first(), timezone.now()
    server_pk = server.pk if server else None
    before = Statement.objects.of_period(period.first, period.last, server_pk).first()
    content = {
        **content,
        "number": last.number + 1 if last else 1,
        "previous": last.digest if last else None,
        "made_at": now.astimezone(period.zone).isoformat(timespec="seconds"),
        **_since(before, content, period),
    }
    text = signed(content, key)
    return Statement.objects.create(
        number=content["number"],
        made_at=now,
        made_by=content["made_by"],
        first=period.first,
        last=period.last,
        server_pk=server_pk,
        server_name=server.name if server else "",
        digest=digest_of(json.loads(text)["statement"]),
        document=text,
    )


def _shop_all(seconds: float | None = None) -> ShopAll:
    return ShopAll(settings.SHOP_ALL_DATABASE_URL, "statement", secret=False, seconds=seconds)


def _since(kept: Statement | None, figures: dict[str, Any], period: Period) -> dict[str, Any]:
    """Return the statement of the same period that was kept before, and what has changed since."""
    if kept is None:
        return {"before": None, "changes": [], "since": []}
    before = {"number": kept.number, "digest": kept.digest}
    return {
        "before": before,
        "changes": changes_between(content_of(kept), figures),
        "since": answers_since(kept.made_at, period.zone),
    }


def make_monthly(actor: Actor, now: datetime | None = None) -> Iterator[dict[str, Any]]:
    """Keep the days of the log that are over, and make last month's statement where it is missing.

    It is sent to the recipients who want it.

    Yields what was done so far, for the report of the maintenance run. Without a key no statement
    is made. Raises TransferError.
    """
    now = now or timezone.now()
    yield {"log_days": keep_days(now)}
    if not settings.STATEMENT_KEY:
        yield {"no_statement_key": True}
        return
    period = Period.month_before(now)
    if Statement.objects.of_period(period.first, period.last, None).exists():
        return
    try:
        wanted = Recipient.objects.filter(enabled=True, statements=True)
        statement = make(period, None, actor, wanted)
    except TransferError as error:
        if error.cause is not PERIOD_BEFORE_FIRST_LINE:  # a new installation has nothing to say
            raise
        return
    yield {"statement": statement.number}


def keep_days(now: datetime) -> int:
    """Keep the sums of the days that are over, here and in shop All; return how many were new.

    Raises TransferError.
    """
    with _shop_all() as source:
        exchange_days(source)
        with source.snapshot():
            source.database.limit_statements(None)
            new = sum(keep_log_days(source, kind, now) for kind in installed_kinds().values())
        write_days(source)
    return new


def kept_chain() -> Iterator[Document | None]:
    """Yield all kept statements in their order; None for one that was changed."""
    rows = Statement.objects.order_by("number").values_list("document", flat=True)
    for text in rows.iterator(chunk_size=10):
        yield Document.read(text.encode())
