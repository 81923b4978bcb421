"""Many rows of a model out of one, by one statement."""

from typing import Any

from django.db import connection
from django.db.models import Model


def multiply(first: Model, rows: int, **expressions: Any) -> None:
    """Makes `rows` rows of the saved row `first`, itself included.

    `expressions` give the fields that differ, as SQL over n (2, 3, …), by the names of columns.
    """
    meta = first._meta
    columns = [
        field.column
        for field in meta.local_concrete_fields
        if not field.primary_key and not field.generated
    ]
    unknown = set(expressions) - set(columns)
    assert not unknown, f"{meta.db_table} has no {', '.join(sorted(unknown))}"
    quoted = [f'"{name}"' for name in columns]
    values = [str(expressions.get(name, f'first."{name}"')) for name in columns]
    with connection.cursor() as cursor:
        cursor.execute(
            f'insert into "{meta.db_table}" ({", ".join(quoted)}) '
            f"select {', '.join(values)} from generate_series(2, {rows}) as n, "
            f'(select * from "{meta.db_table}" where "{meta.pk.column}" = {first.pk}) as first'
        )
