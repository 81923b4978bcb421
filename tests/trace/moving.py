"""What the tests of the trace have in common."""

from tests.databases import query
from transfer.models.run_base import Trigger
from transfer.pages.shown.traced import shown_row
from transfer.runs import execute

ACCOUNT, CARD = "4100000011", "7780000000011"


def task_of(server, kind="balances"):
    return server.tasks.select_related("server").get(kind=kind)


def move(server, kind="balances"):
    return execute.run_here(task_of(server, kind), Trigger.COMMAND)


def accounts(server):
    """The accounts whose balances a server has; one with two rows twice."""
    return [row[0] for row in query(server.dsn, "select account from asset order by account")]


def states(result):
    return [[delivery.state for delivery in row.deliveries] for row in result.rows]


def words(result):
    return [delivery for row in result.rows for delivery in shown_row(row, 365).deliveries]
