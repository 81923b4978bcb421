"""Asks all bonus servers at once how they are, and when they last saw which register.

Of the service port, where only registers log in, it is only tried whether it can be connected to.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from time import monotonic
from typing import Any

from django.db import connection, transaction
from django.db.models import QuerySet
from django.utils import timezone

from transfer.bonus_admin_client.client import BonusApi
from transfer.bonus_admin_client.contract import Account, Status
from transfer.causes.bonus_servers import API_NO_TOKEN, API_REGISTER_EXISTS
from transfer.causes.connections import TOO_SLOW
from transfer.errors import TooSlow, TransferError
from transfer.models import BonusServer, SeenDay
from transfer.models.accounts import ONLINE_FOR
from transfer.parties import server as party_of
from transfer.servers.ask import ask_all
from transfer.servers.stages import check_service_port

SECONDS = 8.0  # for all of them together

# Its account is there: so it is created, unless somebody makes it now, or nobody has its secret;
# a register that calls has it. That an account was there before is shown until its register calls.
# A register calls every few seconds: what moved by less than two is the answer's own delay.
PRESENT = """
    insert into transfer_registeraccount as a (
        server_id, register_id, state, login, created_at, last_seen, blocked, blocked_by,
        block_reason, reply_lost, error_code, error_params, error_technical)
    select %(server)s, r.id, 'created', t.login, t.created_at, t.last_seen, t.blocked, '',
           '', false, '', '{}', ''
      from unnest(%(codes)s::text[], %(logins)s::text[], %(created)s::timestamptz[],
                  %(seen)s::timestamptz[], %(blocked)s::boolean[])
           as t(code, login, created_at, last_seen, blocked)
      join transfer_cashregister as r using (code)
    on conflict (server_id, register_id) do update
       set state = 'created', login = excluded.login, created_at = excluded.created_at,
           last_seen = excluded.last_seen, blocked = excluded.blocked, reply_lost = false,
           blocked_at = case when excluded.blocked then a.blocked_at end,
           blocked_by = case when excluded.blocked then a.blocked_by else '' end,
           block_reason = case when excluded.blocked then a.block_reason else '' end,
           error_code = case when a.state = 'error' or a.error_code = %(was_there)s
                                  and excluded.last_seen is not null
                             then '' else a.error_code end
     where a.state <> 'waiting' and (not a.reply_lost or excluded.last_seen is not null)
       and (a.state <> 'created' or a.login <> excluded.login or a.blocked <> excluded.blocked
            or a.created_at is distinct from excluded.created_at
            or (a.last_seen is null) <> (excluded.last_seen is null)
            or a.error_code = %(was_there)s and excluded.last_seen is not null
            or abs(extract(epoch from a.last_seen - excluded.last_seen)) > 2)
"""

# Not those that were made after the server had been asked.
GONE = """
    update transfer_registeraccount as a
       set state = 'not_created', login = '', blocked = false, created_at = null,
           last_seen = null, error_code = '', blocked_at = null, blocked_by = '', block_reason = ''
      from transfer_cashregister as r
     where a.register_id = r.id and a.server_id = %(server)s and a.state = 'created'
       and (a.created_at is null or a.created_at < %(asked)s)
       and not r.code = any(%(codes)s::text[])
"""

# By the clock of this machine, as `last_seen`.
LATELY = """
    update transfer_registeraccount set seen_lately = not seen_lately
     where server_id = %(server)s and seen_lately <> coalesce(last_seen >= %(since)s, false)
"""

SEEN = """
    insert into transfer_seenday as d (account_id, day, hours)
    select id, (last_seen at time zone 'UTC')::date,
           1 << extract(hour from last_seen at time zone 'UTC')::int
      from transfer_registeraccount
     where server_id = %(server)s and last_seen > %(oldest)s
    on conflict (account_id, day) do update set hours = d.hours | excluded.hours
     where d.hours & excluded.hours = 0
"""


@dataclass(frozen=True)
class Answer:
    """What a server answered at its administration port, and how fast."""

    status: Status
    accounts: list[Account]
    asked_at: datetime
    latency: float


@dataclass(frozen=True)
class PortAnswers:
    """What both ports of a server answered."""

    admin: Answer | TransferError
    service: TransferError | None  # why no register can connect; None: they can


def look_at_server(server: BonusServer, seconds: float = SECONDS) -> PortAnswers:
    """Queries no database: it runs in a thread."""
    began = monotonic()
    service = check_service_port(server)
    left = seconds - (monotonic() - began)
    try:
        with BonusApi(server.endpoint, left) as api:
            asked_at, asked = timezone.now(), monotonic()
            status = api.status()
            latency = monotonic() - asked
            return PortAnswers(Answer(status, api.accounts(), asked_at, latency), service)
    except TransferError as error:
        return PortAnswers(error, service)


def look_at_all(
    servers: Iterable[BonusServer], seconds: float = SECONDS
) -> Iterator[tuple[BonusServer, PortAnswers | TransferError]]:
    """Looks at all servers at once: see `ask_all`."""
    return ask_all(
        servers,
        look_at_server,
        seconds,
        late=lambda one, took: TooSlow(TOO_SLOW, f"> {took:g} s", party=party_of(one.name)),
    )


def check_connections(servers: Iterable[BonusServer] | None = None) -> dict[str, int]:
    """Refreshes the state of servers and registers. What one server suffers, the others don't."""
    asked = list(BonusServer.objects.all() if servers is None else servers)
    report = {"servers": len(asked), "no_token": 0, "failing": 0, "registers": 0}
    for server, looked in look_at_all(asked):
        # In time neither port has answered.
        seen = PortAnswers(looked, looked) if isinstance(looked, TransferError) else looked
        server.note_service_port(timezone.now(), seen.service)
        if isinstance(seen.admin, TransferError):
            server.note_failure(timezone.now(), seen.admin)
            report["no_token" if seen.admin.cause is API_NO_TOKEN else "failing"] += 1
        else:
            note_answer(server, seen.admin)
            report["registers"] += len(seen.admin.accounts)
    return report


@transaction.atomic
def note_answer(server: BonusServer, answer: Answer) -> None:
    """Saves what the server answered, in four statements however many registers it has."""
    ahead = answer.status.time - answer.asked_at  # the server's clock
    server.note_answer(
        answer.asked_at, answer.latency, ahead.total_seconds(), answer.status.version
    )
    accounts = answer.accounts
    parameters: dict[str, Any] = {
        "server": server.pk,
        "asked": answer.status.time,
        "was_there": API_REGISTER_EXISTS.code,
        "since": answer.asked_at - ONLINE_FOR,
        "oldest": answer.asked_at - timedelta(SeenDay.DAYS),
        "codes": [account.register for account in accounts],
        "logins": [account.login for account in accounts],
        "created": [account.created for account in accounts],
        "seen": [account.last_seen and account.last_seen - ahead for account in accounts],
        "blocked": [account.blocked for account in accounts],
    }
    with connection.cursor() as cursor:
        for statement in (PRESENT, GONE, LATELY, SEEN):
            cursor.execute(statement, parameters)


def old_days(now: datetime) -> QuerySet[SeenDay]:
    """Days that are too old for the strip of a week."""
    return SeenDay.objects.filter(day__lt=now.date() - timedelta(SeenDay.DAYS))
