"""The limits: what psql's own COPY does between the same databases, without position or checks."""

import shlex
import subprocess

from bench.engine import columns, tables
from bench.ground import Installation
from tests.databases import as_url

# The last row of an account or a card wins, as in the product, by the plainest SQL there is.
UPSERT = {
    "pincodes": """
        insert into pincode as held (account, pincode, changed_at)
        select distinct on (account) account, pincode, now() from incoming
         order by account, id desc
            on conflict (account) do update
           set pincode = excluded.pincode, changed_at = excluded.changed_at
         where held.pincode is distinct from excluded.pincode
    """,
    "cards": """
        insert into "cardAccounting" as held (card, account, status, changed_at)
        select card,
               (array_agg(account order by id desc) filter (where account is not null))[1],
               (array_agg(status order by id desc) filter (where status is not null))[1], now()
          from incoming group by card
            on conflict (card) do update
           set account = coalesce(excluded.account, held.account),
               status = coalesce(excluded.status, held.status), changed_at = excluded.changed_at
         where (held.account, held.status) is distinct from
               (coalesce(excluded.account, held.account), coalesce(excluded.status, held.status))
    """,
}
INCOMING = {
    "pincodes": "account text, pincode text, id bigint",
    "cards": "card text, account text, status integer, id bigint",
}


def copy(at: Installation, bonus: str, kind: str) -> None:
    """COPY straight into the table; of PIN codes and cards into a temporary one, and an upsert."""
    staging, target = tables(kind)
    names = ", ".join(columns(kind))
    if kind not in UPSERT:
        source = f'copy (select {names} from "{staging}") to stdout binary'
        into = [f'copy "{target}" ({names}) from stdin binary']
    else:
        source = f'copy (select {names}, id from "{staging}") to stdout binary'
        into = upsert(kind, "binary")
    pipe(at, source, psql(at, bonus, into))


def copy_in_parts(at: Installation, bonus: str, kind: str, rows: int) -> None:
    """The same of PIN codes and cards, in transactions of so many rows, as the product has them."""
    staging, _target = tables(kind)
    source = f'copy (select {", ".join(columns(kind))}, id from "{staging}") to stdout'
    each = shlex.join(psql(at, bonus, upsert(kind, "text")))
    pipe(at, source, ["split", f"--lines={rows}", "--filter", each])


def upsert(kind: str, form: str) -> list[str]:
    """The statements of one transaction; `form`: of the rows on their way."""
    return [
        "begin",
        f"create temporary table incoming ({INCOMING[kind]}) on commit drop",
        f"copy incoming ({', '.join(columns(kind))}, id) from stdin (format {form})",
        UPSERT[kind],
        "commit",
    ]


def psql(at: Installation, dsn: str, statements: list[str]) -> list[str]:
    words = [word for statement in statements for word in ("-c", statement)]
    return [
        *(at.ground.psql(), "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1"),
        *(as_url(dsn), *words),
    ]


def pipe(at: Installation, source: str, into: list[str]) -> None:
    """Hand what shop All sends to a program."""
    with subprocess.Popen(psql(at, at.shop_all, [source]), stdout=subprocess.PIPE) as out:
        subprocess.run(into, stdin=out.stdout, check=True)
    if out.returncode:
        raise RuntimeError(f"psql ended with {out.returncode}")
