"""What keeps writers to the rules is compared with this version, and put right."""

import pytest
from psycopg2.extensions import make_dsn

from tests.administrator import psql, remove_role
from tests.conftest import WORKER
from tests.databases import initialise_shop_all, query
from transfer.engine.kinds import KINDS
from transfer.engine.postgres.database import Database
from transfer.engine.shop_all.schema.rights import Guards
from transfer.errors import GuardsOfAnother, GuardsOutdated
from transfer.parties import SHOP_ALL

CLERK, VENDOR, READER = (f"{name}_{WORKER}" for name in ("clerk", "vendor", "reader"))
TABLE = 'public."changeAccountBalanceTemp"'
OWNERS = """
    select rolname from pg_roles join pg_proc on proowner = pg_roles.oid
     where pronamespace = 'datatransfer'::regnamespace
     union
    select rolname from pg_roles join pg_class on relowner = pg_roles.oid
     where relnamespace = 'datatransfer'::regnamespace and relkind = 'r'
"""


@pytest.fixture
def roles(shop_all):
    """The account of Data Transfer, the vendor that owns the tables, and one who reads."""
    for role in (CLERK, VENDOR, READER):
        remove_role(shop_all, role)
        query(shop_all, f"create role {role} login")
    yield
    query(shop_all, f"reassign owned by {VENDOR}, {CLERK} to current_user")
    for role in (CLERK, VENDOR, READER):
        remove_role(shop_all, role)


def differences(dsn):
    with (
        Database(dsn, SHOP_ALL, "tests", secret=False) as database,
        database.transaction(commit=False),
    ):
        return Guards(database, KINDS.values()).differences()


def check(dsn):
    with (
        Database(dsn, SHOP_ALL, "tests", secret=False) as database,
        database.transaction(commit=False),
    ):
        Guards(database, KINDS.values()).check()


def test_a_database_that_was_never_initialised_has_no_writers_to_guard(empty_database):
    check(empty_database)


# What somebody has done, and what is named then.
HARMS = {
    "alter function datatransfer.refuse_names() set search_path = public": (
        "datatransfer.refuse_names()"
    ),
    "alter function datatransfer.note_changes() security definer": "datatransfer.note_changes()",
    "alter function datatransfer.refuse_names() owner to a_third_role": (
        "datatransfer.refuse_names()"
    ),
    "create or replace function datatransfer.note_changes() returns trigger language plpgsql as "
    "'begin return new; end'": "datatransfer.note_changes()",
    "grant usage on schema datatransfer to public": "datatransfer",
    "grant select on datatransfer.log to public": "datatransfer.log",
    "grant select (number) on datatransfer.head to public": "datatransfer.head",
    "grant select on datatransfer.origin to public": "datatransfer.origin",
    "grant select on datatransfer.origin to a_third_role": "datatransfer.origin",
    "grant select (name_key) on datatransfer.origin to a_third_role": "datatransfer.origin",
    f"alter table {TABLE} alter xid set default '7'": '"changeAccountBalanceTemp".xid',
    f"alter table {TABLE} alter started drop default": '"changeAccountBalanceTemp".started',
    f"alter table {TABLE} alter staged_by set default current_user": (
        '"changeAccountBalanceTemp".staged_by'
    ),
    f"alter table {TABLE} alter line set default 7": '"changeAccountBalanceTemp".line',
    f"alter table {TABLE} enable trigger zz_datatransfer_1_insert": (
        '"changeAccountBalanceTemp".zz_datatransfer_1_insert'
    ),
    f"alter table {TABLE} disable trigger zz_datatransfer_2_update": (
        '"changeAccountBalanceTemp".zz_datatransfer_2_update'
    ),
    f"drop trigger zz_datatransfer_1_update on {TABLE}": (
        '"changeAccountBalanceTemp".zz_datatransfer_1_update'
    ),
    f"create or replace trigger zz_datatransfer_1_insert before insert on {TABLE} for each row "
    "when (new.xid < '5') execute function datatransfer.refuse_names(); "
    f"alter table {TABLE} enable always trigger zz_datatransfer_1_insert": (
        '"changeAccountBalanceTemp".zz_datatransfer_1_insert'
    ),
    f"create or replace trigger zz_datatransfer_2_update before update on {TABLE} for each row "
    "execute function datatransfer.note_changes('account'); "
    f"alter table {TABLE} enable always trigger zz_datatransfer_2_update": (
        '"changeAccountBalanceTemp".zz_datatransfer_2_update'
    ),
}


def test_each_difference_is_named_and_repaired_by_init_shop_all(shop_all, roles):
    assert differences(shop_all) == []
    for harm, name in HARMS.items():
        query(shop_all, harm.replace("a_third_role", READER))
        assert differences(shop_all) == [name], harm
        with pytest.raises(GuardsOutdated, match="Urgent"):
            check(shop_all)
        query(shop_all, "alter function datatransfer.refuse_names() owner to current_user")
        initialise_shop_all(shop_all)
        assert differences(shop_all) == [], harm


def test_each_difference_is_repaired_by_the_sql_for_the_owner(shop_all, roles):
    """Our role does not own the tables: a superuser runs the SQL, and the vendor then owns it."""
    clerk = owned_by_the_vendor(shop_all)
    assert differences(clerk) == []
    for harm, name in HARMS.items():
        query(shop_all, harm.replace("a_third_role", READER))
        with pytest.raises(GuardsOfAnother) as caught:
            check(clerk)
        assert caught.value.params["names"] == name, harm
        psql(shop_all, caught.value.params["script"])
        assert differences(clerk) == [], harm
        assert query(shop_all, OWNERS) == [(VENDOR,)], harm


def test_the_owner_who_is_no_superuser_can_run_the_sql(shop_all, roles):
    clerk = owned_by_the_vendor(shop_all)
    query(shop_all, f"grant select on datatransfer.origin to {READER}")
    with pytest.raises(GuardsOfAnother) as caught:
        check(clerk)
    psql(make_dsn(shop_all, user=VENDOR), caught.value.params["script"])
    assert differences(clerk) == []


def test_accounts_of_several_installations_may_read_the_key_of_names(shop_all, roles):
    clerk = owned_by_the_vendor(shop_all)
    for role in (READER, CLERK):
        query(
            shop_all,
            f"grant usage on schema datatransfer to {role}; "
            f"grant select, insert, update, delete on all tables in schema datatransfer to {role}",
        )
    assert differences(clerk) == []
    assert differences(make_dsn(shop_all, user=READER)) == []
    query(shop_all, f"revoke insert on datatransfer.log from {READER}")
    assert differences(clerk) == ["datatransfer.origin"]


def owned_by_the_vendor(shop_all):
    """Gives all to the vendor; returns the DSN of our role, which may move rows."""
    tables = ", ".join(f'"{kind.staging}"' for kind in KINDS.values())
    owned = "; ".join(f'alter table "{kind.staging}" owner to {VENDOR}' for kind in KINDS.values())
    with Database(shop_all, SHOP_ALL, "tests", secret=False) as database, database.transaction():
        query(shop_all, owned)
        database.execute(Guards(database, KINDS.values()).hand_over())
    query(
        shop_all,
        f"grant usage on schema datatransfer to {CLERK}; "
        f"grant select, insert, update, delete on all tables in schema datatransfer to {CLERK}; "
        f"grant select, insert, update, delete on {tables} to {CLERK}",
    )
    return make_dsn(shop_all, user=CLERK)
