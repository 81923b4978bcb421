"""What one would write with a driver or with Django."""

import os
from collections.abc import Callable, Iterator
from typing import Any

from bench.engine import columns, tables

NAMES = ", ".join(columns("balances"))
STAGING, ASSET = tables("balances")
SELECT = f'select {NAMES} from "{STAGING}"'
ROWS_AT_ONCE = 10_000


def psycopg3(source: str, target: str) -> Iterator[None]:
    import psycopg

    yield
    with psycopg.connect(source) as reads, psycopg.connect(target) as writes:
        take = f"copy ({SELECT}) to stdout (format binary)"
        give = f"copy {ASSET} ({NAMES}) from stdin (format binary)"
        with reads.cursor().copy(take) as rows, writes.cursor().copy(give) as copied:
            for piece in rows:
                copied.write(piece)


def asyncpg(source: str, target: str) -> Iterator[None]:
    import asyncio

    import asyncpg

    async def move() -> None:
        reads, writes = await asyncpg.connect(source), await asyncpg.connect(target)
        pieces: asyncio.Queue[bytes | None] = asyncio.Queue(64)

        async def rows() -> Any:
            while (piece := await pieces.get()) is not None:
                yield piece

        async def read() -> None:
            await reads.copy_from_query(SELECT, output=pieces.put, format="binary")
            await pieces.put(None)

        await asyncio.gather(
            read(),
            writes.copy_to_table(
                ASSET, source=rows(), columns=columns("balances"), format="binary"
            ),
        )
        await reads.close()
        await writes.close()

    yield
    asyncio.run(move())


def adbc(source: str, target: str) -> Iterator[None]:
    import adbc_driver_postgresql.dbapi as postgresql
    import pyarrow  # noqa: F401 - what it hands over

    yield
    # A numeric becomes text in Arrow, and is no numeric again when it is ingested.
    select = SELECT.replace("amount", "amount::float8 as amount")
    with (
        postgresql.connect(source) as reads,
        postgresql.connect(target) as writes,
        reads.cursor() as rows,
        writes.cursor() as writer,
    ):
        writer.execute(f"alter table {ASSET} alter column amount type float8")
        rows.execute(select)
        writer.adbc_ingest(ASSET, rows.fetch_record_batch(), mode="append")
        writes.commit()


def execute_values(source: str, target: str) -> Iterator[None]:
    import psycopg2
    from psycopg2.extras import execute_values

    yield
    with (
        psycopg2.connect(source) as reads,
        psycopg2.connect(target) as writes,
        reads.cursor("rows") as rows,
        writes.cursor() as writer,
    ):
        rows.itersize = ROWS_AT_ONCE
        rows.execute(SELECT)
        insert = f"insert into {ASSET} ({NAMES}) values %s"
        while some := rows.fetchmany(ROWS_AT_ONCE):
            execute_values(writer, insert, some, page_size=1000)


def bulk_create(source: str, target: str) -> Iterator[None]:
    import psycopg2

    os.environ |= {"BONUSSERVER_DATABASE_URL": target}
    os.environ["DJANGO_SETTINGS_MODULE"] = "bonusserver.settings"
    import django

    django.setup()
    from django.db import transaction

    from bonusserver.models import Asset

    yield
    with psycopg2.connect(source) as reads, reads.cursor("rows") as rows, transaction.atomic():
        rows.itersize = ROWS_AT_ONCE
        rows.execute(SELECT)
        names = columns("balances")
        while some := rows.fetchmany(ROWS_AT_ONCE):
            Asset.objects.bulk_create([Asset(**dict(zip(names, row, strict=True))) for row in some])


DRIVERS: dict[str, Callable[[str, str], Iterator[None]]] = {
    "psycopg 3, binary COPY": psycopg3,
    "asyncpg, binary COPY": asyncpg,
    "ADBC, ingest": adbc,
    "psycopg2, execute_values": execute_values,
    "Django, bulk_create": bulk_create,
}
