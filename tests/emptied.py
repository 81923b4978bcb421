"""Our own database and the connections to it, after a test that has committed."""

from functools import cache
from typing import Any

import psycopg2
from django.db import DatabaseError, connection, connections, transaction

OF_MODELS = {"django_content_type", "auth_permission"}  # no test changes these
OF_A_CONNECTION = ("dbname", "application_name")  # a test may have asked for others


@cache
def emptying() -> str:
    """SQL that takes our own tables back to the rows that they have when this is first called.

    DELETE, since TRUNCATE creates new files. Foreign keys are checked at the end of the
    transaction, so rows go in any order.
    """
    tables = connection.introspection.django_table_names(only_existing=True, include_views=False)
    # The audit's trigger lets nothing else remove a row.
    statements = ["set local transfer.retention = on"]
    with connection.cursor() as cursor:
        for table in sorted({*tables} - OF_MODELS):
            statements.append(f'delete from "{table}"')
            cursor.execute(f'select json_agg(t)::text from "{table}" t')
            [(rows,)] = cursor.fetchall()
            if rows is not None:
                put_back = (
                    f'insert into "{table}" '
                    f'select * from json_populate_recordset(null::"{table}", %s)'
                )
                statements.append(cursor.mogrify(put_back, [rows]).decode())
    return "; ".join(statements)


def empty(_case: Any = None) -> None:
    """Take out the rows of a test that has committed them."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(emptying())


def some_are_used_up(_case: Any = None) -> bool:
    """Make the connections of this thread like new ones; return whether that fails."""
    return not all(is_as_new(one) for one in connections.all(initialized_only=True))


def is_as_new(one: Any) -> bool:
    """Forget the settings, locks and tables of a session; False if it is broken, or not of us."""
    if one.connection is None:
        return True
    try:
        had, wanted = one.connection.info.dsn_parameters, one.get_connection_params()
        if any(had.get(name) != wanted[name] for name in OF_A_CONNECTION) or not one.autocommit:
            return False
        with one.cursor() as cursor:
            cursor.execute("discard all")
        one.init_connection_state()
    except (DatabaseError, psycopg2.Error):
        return False
    return True
