"""The installation: its machine, its own database, its pages, and their surroundings."""

from transfer.causes.cause import Cause
from transfer.parties import gettext_noop

ADDRESS_INVALID = Cause(
    "address_invalid",
    gettext_noop("SITE_URL is not an address of pages: %(address)s."),
    gettext_noop("Write it into the env file as in https://dtadmin.shop.local."),
)


PAGES_SILENT = Cause(
    "pages_silent",
    gettext_noop("The pages do not answer at %(address)s: %(what)s."),
    gettext_noop("Start them: gunicorn"),
)


PAGES_STOPPED = Cause(
    "pages_stopped",
    gettext_noop(
        "At %(address)s the proxy answers (HTTP %(code)s), and the pages behind it do not."
    ),
    gettext_noop("Start them: gunicorn"),
)


ADDRESS_REFUSED = Cause(
    "address_refused",
    gettext_noop("The pages refuse to be called %(address)s."),
    gettext_noop("Add the name in this address to ALLOWED_HOSTS, and restart the pages."),
)


DOCTOR_ANOTHER_PROGRAM = Cause(
    "doctor_another_program",
    gettext_noop("At %(address)s another program answers (HTTP %(code)s)."),
    gettext_noop(
        "Stop the program that has the port, or give the pages another port and change SITE_URL."
    ),
)


CERTIFICATE_ENDS = Cause(
    "certificate_ends",
    gettext_noop("The certificate of %(server)s ends in %(days)s days."),
    gettext_noop("Ask its administrator to renew it before it ends."),
)


DOCTOR_OLD_POSTGRES = Cause(
    "doctor_old_postgres",
    gettext_noop("%(party)s is PostgreSQL %(version)s."),
    gettext_noop("PostgreSQL 14 or newer is needed, on all sides."),
)


DOCTOR_OTHER_ENCODING = Cause(
    "doctor_other_encoding",
    gettext_noop("%(party)s has the encoding %(encoding)s."),
    gettext_noop(
        "Move it into a database with UTF8. Other encodings lack characters that Data Transfer "
        "writes, such as the dots in place of a PIN code."
    ),
)


DOCTOR_OWN_ENCODING = Cause(
    "doctor_own_encoding",
    gettext_noop("%(party)s has the encoding %(encoding)s, and needs UTF8."),
    gettext_noop(
        "Create an empty one, and name it in DATABASE_URL: createdb --encoding=UTF8 "
        "--template=template0 --owner=USER NAME. A backup of %(name)s can be restored there."
    ),
)


DOCTOR_IS_POOLED = Cause(
    "doctor_is_pooled",
    gettext_noop("%(party)s is reached through a connection pooler."),
    gettext_noop(
        "Locks of a session keep a transfer from running twice, and a pooler shares sessions. "
        "Name the database itself."
    ),
)


DOCTOR_CLOCK_OFF = Cause(
    "doctor_clock_off",
    gettext_noop("%(party)s: its clock differs from ours by %(seconds)s s."),
    gettext_noop("Set both clocks by a time server."),
)


DOCTOR_NOT_MIGRATED = Cause(
    "doctor_not_migrated",
    gettext_noop("Our own database lacks %(n)s migrations, the first is %(first)s."),
    gettext_noop("Run: manage.py migrate"),
)


DOCTOR_INDEX_UNFINISHED = Cause(
    "doctor_index_unfinished",
    gettext_noop("In shop All these indexes were never finished: %(names)s."),
    gettext_noop("Run: manage.py init_shop_all"),
)


DOCTOR_DISK_FULL = Cause(
    "doctor_disk_full",
    gettext_noop("%(path)s has %(free)s MB left."),
    gettext_noop("Uploads and exports pass through it: make room."),
)


DOCTOR_DEPLOYMENT_REMARK = Cause(
    "doctor_deployment_remark",
    gettext_noop("manage.py check --deploy says: %(remark)s"),
    gettext_noop("The variables are in docs/OPERATION.md."),
)


DOCTOR_NEWER_SCHEMA = Cause(
    "doctor_newer_schema",
    gettext_noop("A newer version has changed our own database (%(migration)s)."),
    gettext_noop("Install that version again, or restore a backup of this one."),
)


DOCTOR_MADE_BEFORE = Cause(
    "doctor_made_before",
    gettext_noop(
        "Data Transfer 0.1.0 made our own database. There is no upgrade from that version."
    ),
    gettext_noop(
        "Create an empty database, name it in DATABASE_URL, and run: manage.py setup. For the "
        "demo, run: make forget"
    ),
)


DOCTOR_NOT_SHOP_ALL = Cause(
    "doctor_not_shop_all",
    gettext_noop("SHOP_ALL_DATABASE_URL names another database: %(which)s."),
    gettext_noop("Name the database of shop All, which has the staging tables."),
)


DOCTOR_OTHER_CHAIN = Cause(
    "doctor_other_chain",
    gettext_noop(
        "The database of shop All is that of another chain, or was set up anew: Data Transfer has "
        "transferred rows from another one."
    ),
    gettext_noop(
        "Check SHOP_ALL_DATABASE_URL. If the old database is gone for good, each transfer asks "
        "what its bonus server has received."
    ),
)


DOCTOR_NOT_OWN = Cause(
    "doctor_not_own",
    gettext_noop("DATABASE_URL names another database: %(which)s."),
    gettext_noop("Name Data Transfer's own database. Do not run migrate in this one."),
)


DOCTOR_SOCKET_OPEN_TO_ALL = Cause(
    "doctor_socket_open_to_all",
    gettext_noop("Each account of this machine may open %(path)s, and name any address of a user."),
    gettext_noop(
        "Let only the group of the HTTPS proxy open it: SocketMode=0660, by systemctl edit "
        "dtadmin-proxy.socket"
    ),
)


DOCTOR_SERVICES_FAILED = Cause(
    "doctor_services_failed",
    gettext_noop("These services have failed: %(names)s."),
    gettext_noop(
        "The reason: systemctl status %(first)s. A web socket fails if another program has its "
        "port."
    ),
)
