"""Tools that are made for moving tables."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from bench.peers import Missing
from bench.peers.drivers import ASSET, NAMES, ROWS_AT_ONCE, SELECT
from tests.databases import query


def postgres_fdw(source: str, target: str) -> Iterator[None]:
    available = "select from pg_available_extensions where name = 'postgres_fdw'"
    if not query(target, available):
        raise Missing("the server has no postgres_fdw; name one that has in DATABASE_URL")
    parts = urlsplit(source)
    at = {name: values[0] for name, values in parse_qs(parts.query).items()}
    query(
        target,
        f"""
        create extension postgres_fdw;
        create server shop_all foreign data wrapper postgres_fdw options (
            host '{at["host"]}', port '{at["port"]}', dbname '{parts.path[1:]}',
            fetch_size '{ROWS_AT_ONCE}');
        create user mapping for current_user server shop_all options (user '{parts.username}');
        import foreign schema public limit to ("changeAccountBalanceTemp")
            from server shop_all into public;
        """,
    )
    yield
    query(target, f"insert into {ASSET} ({NAMES}) {SELECT}")


def pgcopydb(source: str, target: str) -> Iterator[None]:
    """It copies a table into one of the same name and columns: the source gets one."""
    if shutil.which("pgcopydb") is None:
        raise Missing("Debian's package pgcopydb is not installed")
    query(
        source,
        f"drop table if exists {ASSET}; create table {ASSET} as "
        f'select id, {NAMES}, now() as created_at from "changeAccountBalanceTemp"; '
        f"alter table {ASSET} add primary key (id)",
    )
    yield
    with tempfile.TemporaryDirectory() as home:
        filters = Path(home) / "filters.ini"
        filters.write_text(f"[include-only-table]\npublic.{ASSET}\n")
        command = ["pgcopydb", "copy", "table-data", "--dir", f"{home}/work", "--not-consistent"]
        ends = ["--source", source, "--target", target, "--filters", str(filters)]
        done = subprocess.run([*command, *ends], capture_output=True, text=True, check=False)
    query(source, f"drop table {ASSET}")
    if done.returncode:
        raise RuntimeError(done.stderr[-500:])


def dlt(source: str, target: str) -> Iterator[None]:
    """Appended as Arrow, which is its fast way."""
    import adbc_driver_postgresql.dbapi as postgresql
    import dlt

    @dlt.resource(name=ASSET, write_disposition="append")
    def rows():  # type: ignore[no-untyped-def]
        with postgresql.connect(source) as reads, reads.cursor() as cursor:
            cursor.execute(SELECT.replace("amount", "amount::float8 as amount"))
            yield from cursor.fetch_record_batch()

    yield
    with tempfile.TemporaryDirectory() as home:
        os.environ["RUNTIME__DLTHUB_TELEMETRY"] = "false"
        # It insists on a host and a password; the socket's folder in the URL is what counts.
        url = target.replace("postgres@/", "postgres:-@localhost/")
        destination = dlt.destinations.postgres(url)
        pipeline = dlt.pipeline(
            "bench", pipelines_dir=home, destination=destination, dataset_name="public"
        )
        pipeline.run(rows(), loader_file_format="csv")


def sling(source: str, target: str) -> Iterator[None]:
    from sling_linux_amd64 import SLING_BIN

    yield
    with tempfile.TemporaryDirectory() as home:
        given = {"SOURCE": source, "TARGET": target, "HOME": home, "SLING_HOME_DIR": home}
        words = ["--src-conn", "SOURCE", "--src-stream", SELECT]
        words += ["--tgt-conn", "TARGET", "--tgt-object", f"public.{ASSET}", "--mode", "snapshot"]
        done = subprocess.run(
            [SLING_BIN, "run", *words], env={**os.environ, **given}, capture_output=True,
            text=True, check=False,
        )  # fmt: skip
    if done.returncode:
        raise RuntimeError((done.stdout + done.stderr)[-500:])


TOOLS: dict[str, Callable[[str, str], Iterator[None]]] = {
    "pgcopydb, table-data": pgcopydb,
    "postgres_fdw, INSERT … SELECT": postgres_fdw,
    "dlt, append, Arrow": dlt,
    "sling": sling,
}
