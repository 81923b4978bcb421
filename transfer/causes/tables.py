"""Tables, columns, rights and guards that a transfer needs, in shop All and on a bonus server."""

from transfer.causes.cause import Cause
from transfer.parties import PartyKind, gettext_noop

STAGING_TABLE_FOREIGN = Cause(
    "staging_table_foreign",
    gettext_noop("The staging table %(table)s is a view or a foreign table."),
    gettext_noop(
        "Nothing was changed. Data Transfer needs an ordinary table in the database of shop All: "
        "only there do the names of rows come with the transaction that stages them. Name one in "
        "the file of DTADMIN_TABLES."
    ),
)


STAGING_TABLE_PARTITIONED = Cause(
    "staging_table_partitioned",
    gettext_noop(
        "The staging table %(table)s is partitioned, or rows of it belong to another table by "
        "inheritance."
    ),
    gettext_noop(
        "Nothing was changed. The names of rows are unique within one table only. Name an ordinary "
        "table in the file of DTADMIN_TABLES; purge_staging keeps it small."
    ),
)


# `script` is the SQL that removes the parts of 0.1.0.
SHOP_ALL_OF_0_1_0 = Cause(
    "shop_all_of_0_1_0",
    gettext_noop(
        "The database of shop All was set up by Data Transfer 0.1.0. This version does not go on "
        "with it."
    ),
    gettext_noop(
        "Nothing was changed. Let 0.1.0 transfer all rows first. The owner of the tables, or a "
        "superuser, then runs this SQL in the database of shop All, and you run: manage.py "
        "init_shop_all --existing-rows moved\n%(script)s"
    ),
)


# `ids` are the first 20 of them.
IDS_REPEATED = Cause(
    "ids_repeated",
    gettext_noop(
        "The rows of the staging table %(table)s cannot be told apart: %(repeated)s values of the "
        "column id occur more than once, and %(missing)s rows have none."
    ),
    gettext_noop(
        "Nothing was changed. Give each row an id of its own, then run init_shop_all again. The "
        "first of the repeated ids: %(ids)s"
    ),
)


NAME_TAKEN = Cause(
    "name_taken",
    gettext_noop(
        "The staging table %(table)s has columns of its own with names that Data Transfer needs "
        "for other values: %(columns)s."
    ),
    gettext_noop(
        "Nothing was changed. Rename these columns, or name another table in the file of "
        "DTADMIN_TABLES."
    ),
)


NOT_INITIALISED = Cause(
    "not_initialised",
    gettext_noop("In the database of shop All %(missing)s is missing."),
    gettext_noop("Run: manage.py init_shop_all"),
)


ROWS_UNDECIDED = Cause(
    "rows_undecided",
    gettext_noop(
        "%(table)s has rows and lacks our column xid, so we cannot tell which of its rows were "
        "transferred."
    ),
    gettext_noop(
        "Nothing was changed. If the rows wait for their transfer: manage.py init_shop_all "
        "--existing-rows waiting; every bonus server is then sent all of them. If they were "
        "transferred before, or must never be: --existing-rows moved."
    ),
)


GUARDS_OUTDATED = Cause(
    "guards_outdated",
    gettext_noop(
        "Urgent: the functions and triggers that control the writers of staging tables in shop All "
        "are not those of this version: %(names)s."
    ),
    gettext_noop(
        "A role that may write into a staging table may be able to run code with the rights of "
        "another role, or choose which rows are transferred. Run: manage.py init_shop_all"
    ),
)


# Our role may not change them. `script` is SQL.
GUARDS_OF_ANOTHER = Cause(
    "guards_of_another",
    gettext_noop(
        "Urgent: the functions and triggers that control the writers of staging tables in shop All "
        "are not those of this version: %(names)s."
    ),
    gettext_noop(
        "A role that may write into a staging table may be able to run code with the rights of "
        "another role, or choose which rows are transferred. Our role does not own the functions "
        "and triggers: a superuser of that server runs this SQL in the database of shop All.\n"
        "%(script)s"
    ),
)


TABLES_FOREIGN = Cause(
    "tables_foreign",
    gettext_noop(
        "%(database)s: %(tables)s are foreign tables or views. A later version will refuse them."
    ),
    gettext_noop(
        "Two servers commit one after the other, and a crash in between can lose or double rows. "
        "Name an ordinary table: manage.py doctor --tables SERVER"
    ),
)


TARGET_TABLE_MISSING = Cause(
    "target_table_missing",
    gettext_noop("%(database)s has no table %(table)s."),
    gettext_noop(
        "Check that the database is the one of the bonus server. Where its tables have other "
        "names, the file of DTADMIN_TABLES says which: manage.py doctor --tables SERVER proposes "
        "what belongs into it."
    ),
)


WRONG_COLUMNS = Cause(
    "wrong_columns",
    gettext_noop("%(party)s: the columns of %(table)s do not fit: %(problems)s."),
    gettext_noop(
        "Nothing was moved. Binary data of the wrong type would arrive as nonsense without an "
        "error, so correct the types first. If columns have other names or units, name them in "
        "the file of DTADMIN_TABLES: manage.py doctor --tables SERVER proposes what belongs into "
        "it, and says what cannot be mapped."
    ),
)


TOO_MANY_TRIGGERS = Cause(
    "too_many_triggers",
    gettext_noop("%(party)s: %(table)s has more than %(most)s triggers."),
    gettext_noop(
        "Nothing was moved: each row would wait for all of them, and a chunk for minutes. Ask its "
        "administrator to drop those that are not needed; the triggers of the table are listed in "
        "pg_trigger."
    ),
)


SEQUENCE_BEHIND = Cause(
    "sequence_behind",
    gettext_noop(
        "%(database)s: the sequence %(sequence)s gives %(next)s next, but %(table)s has numbers up "
        "to %(greatest)s in its column %(column)s."
    ),
    gettext_noop(
        "Nothing was moved: new rows would get numbers that other rows have. In the file of "
        "DTADMIN_TABLES, name the sequence that the vendor's program draws these numbers from. If "
        "it is this one, the program makes other numbers of it (hi/lo): then ask the vendor for a "
        "default of the column."
    ),
)


TABLE_UNLOGGED = Cause(
    "table_unlogged",
    gettext_noop(
        "%(party)s: the table %(table)s, or a partition of it, is unlogged. A crash of that "
        "server would empty it."
    ),
    gettext_noop(
        "Nothing was moved: rows could be lost without a message. Its administrator runs: "
        "alter table … set logged"
    ),
    remedy="its administrator runs `alter table … set logged`",
)


STAGING_TABLE_CHANGED = Cause(
    "staging_table_changed",
    gettext_noop(
        "By the file of DTADMIN_TABLES the rows come from %(now)s, but until now they came from "
        "%(before)s."
    ),
    gettext_noop(
        "Nothing was moved: rows of two tables have the same numbers, and could be lost or moved "
        "twice. Put %(before)s back into the file. You may insert the rows of %(now)s into "
        "%(before)s: there they are new, and are sent once."
    ),
)


NO_RIGHT_FOR_SCHEMA = Cause(
    "no_right_for_schema",
    gettext_noop("In %(database)s this account may not create the schema datatransfer."),
    gettext_noop("Ask its administrator to run once:\n%(statements)s"),
)


RIGHTS_MISSING = Cause(
    "rights_missing",
    gettext_noop("%(party)s: the user %(user)s lacks these rights: %(missing)s."),
    gettext_noop("Ask the database's administrator to run:\n%(statements)s"),
    hints={
        PartyKind.SHOP_ALL: gettext_noop(
            "Let its owner grant it, or run init_shop_all as the user of SHOP_ALL_DATABASE_URL."
        ),
        PartyKind.OWN: gettext_noop(
            "Name the user who owns the tables in DATABASE_URL, or let that user grant the rights."
        ),
    },
)
