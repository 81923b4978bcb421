"""Problems that only the doctor looks for."""

from transfer.errors import TransferError, gettext_noop


class OldPostgres(TransferError):
    code = "doctor_old_postgres"
    sentence = gettext_noop("%(party)s is PostgreSQL %(version)s.")
    hint = gettext_noop("PostgreSQL 14 or newer is needed, on all sides.")


class OtherEncoding(TransferError):
    code = "doctor_other_encoding"
    sentence = gettext_noop("%(party)s has the encoding %(encoding)s.")
    hint = gettext_noop(
        "Move it into a database with UTF8. Other encodings lack characters that Data Transfer "
        "writes, such as the dots in place of a PIN code."
    )


class OwnEncoding(TransferError):
    code = "doctor_own_encoding"
    sentence = gettext_noop("%(party)s has the encoding %(encoding)s, and needs UTF8.")
    hint = gettext_noop(
        "Create an empty one, and name it in DATABASE_URL: createdb --encoding=UTF8 "
        "--template=template0 --owner=USER NAME. A backup of %(name)s can be restored there."
    )


class IsPooled(TransferError):
    code = "doctor_is_pooled"
    sentence = gettext_noop("%(party)s is reached through a connection pooler.")
    hint = gettext_noop(
        "Locks of a session keep a transfer from running twice, and a pooler shares sessions. "
        "Name the database itself."
    )


class ClockOff(TransferError):
    code = "doctor_clock_off"
    sentence = gettext_noop("%(party)s: its clock differs from ours by %(seconds)s s.")
    hint = gettext_noop("Set both clocks by a time server.")


class NotMigrated(TransferError):
    code = "doctor_not_migrated"
    sentence = gettext_noop("Our own database lacks %(n)s migrations, the first is %(first)s.")
    hint = gettext_noop("Run: manage.py migrate")


class IndexUnfinished(TransferError):
    code = "doctor_index_unfinished"
    sentence = gettext_noop("In shop All these indexes were never finished: %(names)s.")
    hint = gettext_noop("Run: manage.py init_shop_all")


class DiskFull(TransferError):
    code = "doctor_disk_full"
    sentence = gettext_noop("%(path)s has %(free)s MB left.")
    hint = gettext_noop("Uploads and exports pass through it: make room.")


class DeploymentRemark(TransferError):
    code = "doctor_deployment_remark"
    sentence = gettext_noop("manage.py check --deploy says: %(remark)s")
    hint = gettext_noop("The variables are in docs/OPERATION.md.")


class NewerSchema(TransferError):
    code = "doctor_newer_schema"
    sentence = gettext_noop("A newer version has changed our own database (%(migration)s).")
    hint = gettext_noop("Install that version again, or restore a backup of this one.")


class MadeBefore(TransferError):
    code = "doctor_made_before"
    sentence = gettext_noop(
        "Data Transfer 0.1.0 made our own database. There is no upgrade from that version."
    )
    hint = gettext_noop(
        "Create an empty database, name it in DATABASE_URL, and run: manage.py setup. For the "
        "demo, run: make forget"
    )


class NotShopAll(TransferError):
    code = "doctor_not_shop_all"
    sentence = gettext_noop("SHOP_ALL_DATABASE_URL names another database: %(which)s.")
    hint = gettext_noop("Name the database of shop All, which has the staging tables.")


class OtherChain(TransferError):
    code = "doctor_other_chain"
    sentence = gettext_noop(
        "The database of shop All is that of another chain, or was set up anew: Data Transfer has "
        "transferred rows from another one."
    )
    hint = gettext_noop(
        "Check SHOP_ALL_DATABASE_URL. If the old database is gone for good, each transfer asks "
        "what its bonus server has received."
    )


class NotOwn(TransferError):
    code = "doctor_not_own"
    sentence = gettext_noop("DATABASE_URL names another database: %(which)s.")
    hint = gettext_noop("Name Data Transfer's own database. Do not run migrate in this one.")


class SocketOpenToAll(TransferError):
    code = "doctor_socket_open_to_all"
    sentence = gettext_noop(
        "Each account of this machine may open %(path)s, and name any address of a user."
    )
    hint = gettext_noop(
        "Let only the group of the HTTPS proxy open it: SocketMode=0660, by systemctl edit "
        "dtadmin-proxy.socket"
    )


class ServicesFailed(TransferError):
    code = "doctor_services_failed"
    sentence = gettext_noop("These services have failed: %(names)s.")
    hint = gettext_noop(
        "The reason: systemctl status %(first)s. A web socket fails if another program has its "
        "port."
    )
