"""What accounts hold on every bonus server now."""

from collections.abc import Iterable
from decimal import Decimal

from psycopg2 import sql

from transfer.engine.bonus_server.database import BonusDatabase
from transfer.errors import TransferError
from transfer.models import BonusServer
from transfer.servers.ask import ask_all, bonus_db

Balances = dict[str, Decimal]  # by account; accounts without a row are left out

# One row for each account that has any; index of the vendor's table by account. A balance counts
# what is valid now, from validfrom to validto, both included.
BALANCES = """
    select account::text,
           coalesce(sum(amount) filter (where coalesce(validfrom, now()) <= now()
                                          and coalesce(validto, now()) >= now()), 0)
      from {balances} where account in ({accounts}) group by account
"""


def ask_balances(
    accounts: Iterable[str], seconds: float
) -> list[tuple[BonusServer, Balances | TransferError]]:
    """Asks all servers at once, in the order of their numbers. Takes about `seconds` at most."""
    listed = list(accounts)
    servers = list(BonusServer.objects.order_by("pk"))

    def ask_server(server: BonusServer, within: float) -> Balances:
        with (
            bonus_db(server, within, secret=False) as target,
            target.database.transaction(commit=False),
        ):
            return balances_of(server, target, listed)

    answers = dict(ask_all(servers, ask_server, seconds))
    return [(server, answers[server]) for server in servers]


def balances_of(server: BonusServer, target: BonusDatabase, accounts: Iterable[str]) -> Balances:
    """What these accounts, at least one, hold on one server; in a transaction of the caller."""
    query = sql.SQL(BALANCES).format(
        balances=server.kinds["balances"].held,
        accounts=sql.SQL(", ").join(map(sql.Literal, accounts)),
    )
    return dict(target.database.rows(query))
