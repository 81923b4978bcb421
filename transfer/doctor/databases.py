"""Checks of every database, and of our own and shop All's in particular."""

from django.apps import apps
from django.conf import settings
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.utils import timezone
from django.utils.translation import gettext as _
from psycopg2.extensions import make_dsn

from transfer.causes.connections import STANDBY_AS_SOURCE
from transfer.causes.installation import (
    DOCTOR_CLOCK_OFF,
    DOCTOR_INDEX_UNFINISHED,
    DOCTOR_IS_POOLED,
    DOCTOR_NOT_MIGRATED,
    DOCTOR_NOT_OWN,
    DOCTOR_NOT_SHOP_ALL,
    DOCTOR_OLD_POSTGRES,
    DOCTOR_OTHER_CHAIN,
)
from transfer.causes.tables import NOT_INITIALISED, RIGHTS_MISSING
from transfer.doctor.encoding import UTF8, check_own, encoding_of, remark_on
from transfer.doctor.remarks import remarks
from transfer.doctor.schema import refusal, unknown_migrations
from transfer.engine.postgres.database import Database
from transfer.engine.shop_all.schema.indexes import NAMED
from transfer.engine.shop_all.schema.rights import Guards
from transfer.engine.shop_all.schema.tables import MISSING, TABLES
from transfer.engine.shop_all.source import ShopAll
from transfer.errors import TransferError
from transfer.installed import installed_kinds
from transfer.models import BonusServer, LogPlace, TransferTask
from transfer.parties import OWN, SHOP_ALL, database_of, gettext_noop
from transfer.queue.residents import count_workers
from transfer.runs.arrivals import AT_ONCE
from transfer.servers.stages import remarks_on
from transfer.servers.timed_check import Passed

OLDEST, NEWEST = 140000, 189999  # that are tested, as server_version_num
CLOCK_SECONDS = 60
SECONDS = 8.0  # for all that one database is asked

ABOUT = """
    select current_setting('server_version'), current_setting('server_version_num')::int,
           pg_is_in_recovery(), clock_timestamp(), pg_backend_pid()
"""
# Which other database of the product this is, if it has no log of shop All.
ANOTHER = """
    select case when 'datatransfer.log' = any (tables) then null
                when 'datatransfer.position' = any (tables)
                  or tables @> '{public.pincode,public.asset,public.cardAccounting}'
                then 'bonus_server'
                when 'public.transfer_transfertask' = any (tables) then 'own'
           end
      from (select array_agg(schemaname || '.' || tablename) from pg_tables) as found (tables)
"""
# Which database the one of DATABASE_URL is, if it has tables, and not ours.
NOT_OWN = """
    select case when names is null or 'transfer_transfertask' = any (bare) then null
                when 'datatransfer.log' = any (names) then 'shop_all'
                when 'datatransfer.position' = any (names)
                  or names @> '{public.pincode,public.asset,public.cardAccounting}'
                then 'bonus_server'
                when not 'django_migrations' = any (bare) then 'another_program'
           end
      from (select array_agg(schemaname || '.' || tablename), array_agg(tablename::text)
              from pg_tables
             where schemaname <> all ('{pg_catalog,information_schema}')) as found (names, bare)
"""
# Statements are ASCII only: the encoding of a wrong database may lack other characters.
WHICH = {
    "bonus_server": gettext_noop("a bonus server’s"),
    "own": gettext_noop("our own"),
    "shop_all": gettext_noop("shop All’s"),
    "another_program": gettext_noop("another program’s"),
}
OWN_RIGHTS = """
    select format('%%s %%s', "right", relname)
      from pg_class, unnest('{SELECT,INSERT,UPDATE,DELETE}'::text[]) as "right"
     where relkind in ('r', 'p') and relname = any (%s)
       and not has_table_privilege(pg_class.oid, "right")
     order by relname, "right"
"""
RIGHTS_NAMED = 4  # of those that are missing in our own database, where it is usually all of them
RIGHTS = """
    select format('%%s %%s', "right", name) from unnest(%s, %s) as wanted ("right", name)
     where not has_table_privilege(to_regclass(name), "right")
"""
# False if our schema exists, and our role may not use it: then its tables can't be asked for.
MAY_USE = "select has_schema_privilege(to_regnamespace('datatransfer'), 'usage')"
CHANGES = ("SELECT", "INSERT", "UPDATE", "DELETE")
# Who else than its owner and us may create functions, operators or types in these schemas.
CREATORS = """
    select distinct format('%%s (%%s)', nspname,
                           case grantee when 0 then 'PUBLIC' else pg_get_userbyid(grantee) end)
      from pg_namespace, aclexplode(coalesce(nspacl, acldefault('n', nspowner)))
     where nspname = any(%s) and privilege_type = 'CREATE' and grantee <> nspowner
       and grantee <> (select oid from pg_roles where rolname = current_user)
     order by 1
"""

# How many connections our role, and the database, may have at once, each with the statement that
# removes the limit. No rows where neither has a limit; superusers have none.
LIMITS = """
    select rolconnlimit, format('alter role %I connection limit -1;', rolname)
      from pg_roles where rolname = session_user and not rolsuper and rolconnlimit >= 0
     union all
    select datconnlimit, format('alter database %I connection limit -1;', datname)
      from pg_database where datname = current_database() and datconnlimit >= 0
       and not (select rolsuper from pg_roles where rolname = session_user)
"""
OF_A_RUN = 2  # connections to each of its two databases: see `engine/move/read_ahead.py`


def own() -> Database:
    """Connects to our own database as Django does, but with errors that say what to do."""
    given = connection.get_connection_params()
    dsn = make_dsn(**{name: str(one) for name, one in given.items() if isinstance(one, str | int)})
    return Database(dsn, OWN, "doctor", seconds=SECONDS, secret=False)


def shop_all() -> ShopAll:
    return ShopAll(settings.SHOP_ALL_DATABASE_URL, "doctor", seconds=SECONDS, secret=False)


def of_server(server: BonusServer) -> Database:
    server.check_secrets()
    return Database(server.dsn, database_of(server.name), "doctor", seconds=SECONDS, secret=False)


def try_server(asked: Database) -> Passed:
    """Tries version, encoding, whether it may be written, pooling and clock."""
    with asked as database, database.transaction(commit=False):
        version, number, is_replica, clock, pid = database.only_row(ABOUT)
        encoding = encoding_of(database.connection)
        off = round((clock - timezone.now()).total_seconds())
        is_pooled = database.connection.info.backend_pid != pid
    if number < OLDEST:
        raise TransferError(DOCTOR_OLD_POSTGRES, version=version, party=asked.party)
    remark = remark_on(encoding, asked.party)
    if is_replica:
        raise TransferError(STANDBY_AS_SOURCE, party=asked.party)
    if is_pooled:
        raise TransferError(DOCTOR_IS_POOLED, party=asked.party)
    if abs(off) >= CLOCK_SECONDS:
        raise TransferError(DOCTOR_CLOCK_OFF, seconds=f"{off:+d}", party=asked.party)
    if number > NEWEST:
        sentence = gettext_noop(
            "PostgreSQL %(version)s is newer than those that Data Transfer is tested with."
        )
        return Passed(sentence, {"version": version}, warns=True)
    return Passed(remark, {"version": version, "encoding": encoding}, warns=encoding != UTF8)


def try_own() -> Passed:
    """Tries that it is no other database, that its tables can be used, then what `try_server` does.

    Raises OwnEncoding, DOCTOR_NOT_OWN, RIGHTS_MISSING, and what `try_server` raises.
    """
    tables = [model._meta.db_table for model in apps.get_models()]
    with own() as database, database.transaction(commit=False):
        check_own(database.connection)
        (which,) = database.only_row(NOT_OWN)
        (user,) = database.only_row("select current_user")
        missing = [name for (name,) in database.rows(OWN_RIGHTS, [tables])]
    if which:
        raise TransferError(DOCTOR_NOT_OWN, which=_(WHICH[which]))
    if missing:
        named = [*missing[:RIGHTS_NAMED], *(["…"] if len(missing) > RIGHTS_NAMED else [])]
        raise TransferError(RIGHTS_MISSING, party=OWN, user=user, missing=", ".join(named))
    return try_server(own())


def try_shop_all() -> Passed:
    """Tries that it is no other database of the product, and then what `try_server` does."""
    with shop_all().database as database, database.transaction(commit=False):
        (which,) = database.only_row(ANOTHER)
    if which:
        raise TransferError(DOCTOR_NOT_SHOP_ALL, which=_(WHICH[which]))
    return try_server(shop_all().database)


def try_schemas(asked: Database) -> Passed:
    """Tries who may create objects in the schemas that our role searches (CVE-2018-1058)."""
    with asked as database, database.transaction(commit=False):
        schemas = database.connection.schemas
        others = [name for (name,) in database.rows(CREATORS, [schemas])]
    if not others:
        sentence = gettext_noop("Only owners may create objects in %(schemas)s.")
        return Passed(sentence, {"schemas": ", ".join(schemas)})
    sentence = gettext_noop(
        "Other roles may create objects in schemas that our role searches: %(others)s. Data "
        "Transfer uses none of them, but triggers of the tables may. Revoke the right where it is "
        "not needed: revoke create on schema … from …"
    )
    return Passed(sentence, {"others": ", ".join(others)}, warns=True)


def try_connections(asked: Database, tasks: int) -> Passed:
    """Tries whether our role may have as many connections as the runs of so many tasks use.

    At once there is one run for each worker, and those of rows as they arrive.
    """
    of_arrivals = AT_ONCE if TransferTask.objects.watched().exists() else 0
    at_once = max(count_workers().resident, 1) + of_arrivals
    needed = OF_A_RUN * max(1, min(tasks, at_once))
    with asked as database, database.transaction(commit=False):
        low = [one for one in database.rows(LIMITS) if one[0] < needed]
    if not low:
        sentence = gettext_noop(
            "Runs use up to %(needed)s connections here at once, two each. No limit of the user or "
            "the database is below that."
        )
        return Passed(sentence, {"needed": needed})
    sentence = gettext_noop(
        "Runs use up to %(needed)s connections here at once, two each, but the limit is "
        "%(limit)s. A run without a second connection takes longer, and one without a first fails. "
        "Have the limit raised, or removed: %(statements)s"
    )
    params = {
        "needed": needed,
        "limit": min(limit for limit, _statement in low),
        "statements": " ".join(statement for _limit, statement in low),
    }
    return Passed(sentence, params, warns=True)


def try_migrations() -> Passed:
    if unknown := unknown_migrations():
        raise refusal(unknown)
    executor = MigrationExecutor(connection)
    plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
    if plan:
        raise TransferError(DOCTOR_NOT_MIGRATED, n=len(plan), first=plan[0][0])
    return Passed(gettext_noop("All migrations are applied."), {})


def try_staging() -> Passed:
    """Tries our own tables and the staging tables of shop All.

    Raises NOT_INITIALISED, DOCTOR_INDEX_UNFINISHED, and what `Identity.check_columns` raises.
    """
    with shop_all() as source, source.database.transaction(commit=False):
        if missing := source.database.value(MISSING, [[*TABLES]]):
            raise TransferError(NOT_INITIALISED, missing=missing)
        for kind in installed_kinds().values():
            source.identity.check_columns(kind)
        unfinished = [
            name
            for kind in installed_kinds().values()
            for name, _table, is_valid in source.database.rows(
                NAMED, [kind.staging_table, "datatransfer"]
            )
            if not is_valid
        ]
        if unfinished:
            raise TransferError(DOCTOR_INDEX_UNFINISHED, names=", ".join(unfinished))
        tables = [kind.staging_table for kind in installed_kinds().values()]
        return remarks_on(source.database, tables, remarks(source.database))


def try_chain() -> Passed:
    """Tries whether our own history has seen this shop All, and no other one.

    Raises DOCTOR_OTHER_CHAIN.
    """
    with shop_all() as source, source.database.transaction(commit=False):
        origin = source.identity.origin()
    known = {known for known, _kind in LogPlace.objects.seen()}
    if known and origin not in known:
        raise TransferError(DOCTOR_OTHER_CHAIN, origin=origin)
    if not known:
        return Passed(gettext_noop("Nothing was transferred from it yet."), {})
    return Passed(gettext_noop("It is the one that rows were transferred from before."), {})


def try_writers() -> Passed:
    """Tries whether functions, triggers and rights for writers are those of this version.

    A staging table that is missing, or is no ordinary one, is what `try_staging` says.
    """
    with shop_all() as source, source.database.transaction(commit=False):
        kinds = [one for one in installed_kinds().values() if source.identity.is_ordinary(one)]
        guards = Guards(source.database, kinds)
        if not guards.is_initialised():
            return Passed(
                gettext_noop("Shop All is not initialised, so it has no writers yet."), {}
            )
        guards.check()
    sentence = gettext_noop(
        "Writers cannot choose the name of a row, and the trace names each writer."
    )
    return Passed(sentence, {})


def try_rights() -> Passed:
    """Tries whether our role may do all that a transfer, a load, an undo and a purge do."""
    with shop_all() as source, source.database.transaction(commit=False):
        database = source.database
        changed = [f"datatransfer.{name}" for name in TABLES if name != "origin"]
        changed += [
            kind.shop_all.identifier.as_string(database.connection)
            for kind in installed_kinds().values()
        ]
        wanted = [("SELECT", "datatransfer.origin")]
        wanted += [(right, name) for name in changed for right in CHANGES]
        (user,) = database.only_row("select current_user")
        if database.value(MAY_USE) is False:
            missing = ["USAGE datatransfer"]
        else:
            found = database.rows(RIGHTS, [list(part) for part in zip(*wanted, strict=True)])
            missing = [name for (name,) in found]
    if missing:
        raise TransferError(RIGHTS_MISSING, party=SHOP_ALL, user=user, missing=", ".join(missing))
    return Passed(
        gettext_noop("The user %(user)s may do all that a transfer does."), {"user": user}
    )
