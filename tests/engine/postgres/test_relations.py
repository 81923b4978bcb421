"""Tables that are not safe for rows: they are refused, or named with what to do."""

import pytest
from psycopg2.extensions import parse_dsn

from tests.causes import raises
from tests.chaos.checks import assert_nothing_moved
from tests.databases import query
from tests.records import user
from transfer.causes.tables import TABLE_UNLOGGED
from transfer.doctor import databases
from transfer.models import RecurringJob
from transfer.problems.find import problems
from transfer.problems.kinds import Code
from transfer.runs import recurring
from transfer.servers import stages

FOREIGN = """
    drop table asset;
    create foreign data wrapper nowhere; create server far foreign data wrapper nowhere;
    create foreign table asset (account text, amount numeric, validfrom timestamptz,
        validto timestamptz, comment text, created_at timestamptz) server far
"""
VIEW = """
    alter table asset rename to kept;
    create view asset as
        select account, amount, validfrom, validto, comment, created_at from kept
"""
PARTITIONED = """
    alter table asset rename to kept;
    create table asset (like kept including defaults) partition by hash (account);
    alter table asset alter id drop not null;
    create table part_1 partition of asset for values with (modulus 1, remainder 0)
"""
TRIGGER = """
    create function meddle() returns trigger language plpgsql as $$ begin return new; end $$;
    create trigger meddle before insert on asset for each row execute function meddle()
"""


def test_a_table_with_an_unlogged_partition_is_refused(flow):
    balances = flow("balances")
    query(
        balances.bonus,
        "alter table asset rename to kept; "
        "create table asset (like kept including defaults) partition by hash (account); "
        "create table part_1 partition of asset for values with (modulus 2, remainder 0); "
        "create unlogged table part_2 partition of asset "
        "for values with (modulus 2, remainder 1)",
    )
    balances.stage(("1", 1))
    with raises(TABLE_UNLOGGED, match="unlogged"):
        balances.move()
    assert_nothing_moved(balances)


@pytest.mark.django_db
@pytest.mark.usefixtures("in_english")
@pytest.mark.parametrize(
    ("harm", "remark", "warns"),
    [
        (FOREIGN, "asset is a foreign table", True),
        (VIEW, "asset is a view", True),
        (PARTITIONED, "asset is partitioned", True),
        ("create table older () inherits (asset)", "other tables inherit from asset", True),
        (
            "create publication everything for all tables; "
            "alter table pincode replica identity nothing",
            "pincode is published without a replica identity",
            True,
        ),
        (TRIGGER, "triggers of asset may change rows or keep them out: meddle", False),
    ],
    ids=["foreign", "view", "partitioned", "inherited", "published", "trigger"],
)
def test_the_connection_test_names_what_may_matter(docked, bonus, harm, remark, warns):
    docked.db_name = parse_dsn(bonus)["dbname"]
    query(bonus, harm)
    passed = stages.try_tables(docked)
    assert remark in passed.sentence % passed.params
    assert passed.warns is warns


@pytest.mark.django_db
@pytest.mark.usefixtures("in_english")
def test_doctor_names_what_may_matter_of_a_staging_table(shop_all):
    assert not databases.try_staging().warns
    query(
        shop_all,
        "create publication everything for all tables; "
        'alter table "accountpincodeTemp" replica identity nothing',
    )
    passed = databases.try_staging()
    assert "accountpincodeTemp is published without a replica identity" in str(passed.params)
    assert passed.warns


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("in_english")
@pytest.mark.parametrize(
    ("harm", "tables"),
    [(FOREIGN, "asset"), (VIEW, "asset"), ("select", "")],
    ids=["foreign", "view", "ordinary"],
)
def test_the_overview_announces_which_tables_will_be_refused(docked, bonus, client, harm, tables):
    docked.db_name = parse_dsn(bonus)["dbname"]
    docked.save()
    query(bonus, harm)
    job = RecurringJob.objects.create(kind=RecurringJob.Kind.CHECK_TABLES, server=docked)
    job.do(lambda: recurring.work(job, None))
    found = [one for one in problems() if one.code == Code.TABLES]
    assert [str(one.params["error"]["tables"]) for one in found] == [tables] * bool(tables)
    client.force_login(user("viewer"))
    client.cookies["django_language"] = "en"
    shown = "A later version will refuse them" in client.get("/").content.decode()
    assert shown is bool(tables)
