"""Tables, columns, rights and guards that a transfer needs, in shop All and on a bonus server."""

from typing import ClassVar

from transfer.errors import TransferError, gettext_noop
from transfer.parties import Kind


class NotInitialised(TransferError):
    code = "not_initialised"
    sentence = gettext_noop("In the database of shop All %(missing)s is missing.")
    hint = gettext_noop("Run: manage.py init_shop_all")


class RowsUndecided(TransferError):
    code = "rows_undecided"
    sentence = gettext_noop(
        "%(table)s has rows and lacks our column xid, so we cannot tell which of its rows were "
        "transferred."
    )
    hint = gettext_noop(
        "Nothing was changed. If the rows wait for their transfer: manage.py init_shop_all "
        "--existing-rows waiting; every bonus server is then sent all of them. If they were "
        "transferred before, or must never be: --existing-rows moved."
    )


class GuardsOutdated(TransferError):
    code = "guards_outdated"
    sentence = gettext_noop(
        "Urgent: the functions and triggers that control the writers of staging tables in shop All "
        "are not those of this version: %(names)s."
    )
    hint = gettext_noop(
        "A role that may write into a staging table may be able to run code with the rights of "
        "another role, or choose which rows are transferred. Run: manage.py init_shop_all"
    )


class GuardsOfAnother(GuardsOutdated):
    """Our role may not change them. `script` is SQL."""

    code = "guards_of_another"
    sentence = GuardsOutdated.sentence
    hint = gettext_noop(
        "A role that may write into a staging table may be able to run code with the rights of "
        "another role, or choose which rows are transferred. Our role does not own the functions "
        "and triggers: a superuser of that server runs this SQL in the database of shop All.\n"
        "%(script)s"
    )


class TablesForeign(TransferError):
    code = "tables_foreign"
    sentence = gettext_noop(
        "%(database)s: %(tables)s are foreign tables or views. A later version will refuse them."
    )
    hint = gettext_noop(
        "Two servers commit one after the other, and a crash in between can lose or double rows. "
        "Name an ordinary table: manage.py doctor --tables SERVER"
    )


class TargetTableMissing(TransferError):
    code = "target_table_missing"
    sentence = gettext_noop("%(database)s has no table %(table)s.")
    hint = gettext_noop(
        "Check that the database is the one of the bonus server. Where its tables have other "
        "names, the file of DTADMIN_TABLES says which: manage.py doctor --tables SERVER proposes "
        "what belongs into it."
    )


class WrongColumns(TransferError):
    code = "wrong_columns"
    sentence = gettext_noop("%(party)s: the columns of %(table)s do not fit: %(problems)s.")
    hint = gettext_noop(
        "Nothing was moved. Binary data of the wrong type would arrive as nonsense without an "
        "error, so correct the types first. If columns have other names or units, name them in "
        "the file of DTADMIN_TABLES: manage.py doctor --tables SERVER proposes what belongs into "
        "it, and says what cannot be mapped."
    )


class TooManyTriggers(TransferError):
    code = "too_many_triggers"
    sentence = gettext_noop("%(party)s: %(table)s has more than %(most)s triggers.")
    hint = gettext_noop(
        "Nothing was moved: each row would wait for all of them, and a chunk for minutes. Ask its "
        "administrator to drop those that are not needed; the triggers of the table are listed in "
        "pg_trigger."
    )


class SequenceBehind(TransferError):
    code = "sequence_behind"
    sentence = gettext_noop(
        "%(database)s: the sequence %(sequence)s gives %(next)s next, but %(table)s has numbers up "
        "to %(greatest)s in its column %(column)s."
    )
    hint = gettext_noop(
        "Nothing was moved: new rows would get numbers that other rows have. In the file of "
        "DTADMIN_TABLES, name the sequence that the vendor's program draws these numbers from. If "
        "it is this one, the program makes other numbers of it (hi/lo): then ask the vendor for a "
        "default of the column."
    )


class TableUnlogged(TransferError):
    code = "table_unlogged"
    sentence = gettext_noop(
        "%(party)s: the table %(table)s, or a partition of it, is unlogged. A crash of that "
        "server would empty it."
    )
    hint = gettext_noop(
        "Nothing was moved: rows could be lost without a message. Its administrator runs: "
        "alter table … set logged"
    )


class StagingTableChanged(TransferError):
    code = "staging_table_changed"
    sentence = gettext_noop(
        "By the file of DTADMIN_TABLES the rows come from %(now)s, but until now they came from "
        "%(before)s."
    )
    hint = gettext_noop(
        "Nothing was moved: rows of two tables have the same numbers, and could be lost or moved "
        "twice. Put %(before)s back into the file. You may insert the rows of %(now)s into "
        "%(before)s: there they are new, and are sent once."
    )


class NoRightForSchema(TransferError):
    code = "no_right_for_schema"
    sentence = gettext_noop("In %(database)s this account may not create the schema datatransfer.")
    hint = gettext_noop("Ask its administrator to run once:\n%(statements)s")


class RightsMissing(TransferError):
    code = "rights_missing"
    sentence = gettext_noop("%(party)s: the user %(user)s lacks these rights: %(missing)s.")
    hint = gettext_noop("Ask the database's administrator to run:\n%(statements)s")
    hints: ClassVar[dict[Kind, str]] = {
        Kind.SHOP_ALL: gettext_noop(
            "Let its owner grant it, or run init_shop_all as the user of SHOP_ALL_DATABASE_URL."
        ),
        Kind.OWN: gettext_noop(
            "Name the user who owns the tables in DATABASE_URL, or let that user grant the rights."
        ),
    }
