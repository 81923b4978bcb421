"""What a form changed in our own database, and whether the audit says so."""

from django.apps import apps
from django.db import connection

AUDIT = "transfer_auditentry"
SETTINGS = "transfer_settings"  # its only row is made when it is first asked for
# What a form may change without an entry, and why.
WITHOUT_ENTRY = {
    "django_session": "log-ins, messages, what is typed on the way",
    "transfer_guess": "counts of wrong passwords",
    "transfer_upload": "a file before its rows are loaded, and how far loading them is",
    "transfer_uploadpiece": "its content, which is forgotten after loading",
    "transfer_badline": "its lines with errors",
    "transfer_taskbacklog": "what the servers last answered about waiting rows",
    "transfer_outagepart": "likewise, which of them do not answer",
    "transfer_apicall": "calls of the API, which are in the audit by the hour",
    "django_tasks_database_dbtaskresult": "jobs of the queue, made by what is in the audit",
}
# Columns that change while nothing does that a user decides.
NOT_DECIDED = {
    "transfer_transfertask": ["mirrored_version"],  # what runs remember
    "transfer_bonusserver": [  # what its last check has found
        *("state", "checked_at", "accounts_at", "latency", "clock_ahead"),
        *("version", "error_code", "error_params", "error_technical"),
        *("service_checked_at", "service_error_code", "service_error_params"),
    ],
    "transfer_apikey": ["last_used_at", "last_address", "minute", "calls"],
    "transfer_recipient": ["address", "signing_key"],  # encrypted anew each time they are saved
}
DIGEST = """
    select '{0}', count(*), md5(coalesce(string_agg(line, '\n' order by line), ''))
      from (select (to_jsonb(one) - '{{{1}}}'::text[])::text as line from "{0}" one) lines
"""
Snapshot = dict[str, tuple[int, str]]


def snapshot() -> Snapshot:
    """Return the number and the digest of the rows of each table, by its name.

    The query is not one of Django's, so that tests that count queries do not see it.
    """
    models = apps.get_models(include_auto_created=True)
    names = {one._meta.db_table for one in models} - WITHOUT_ENTRY.keys()
    connection.ensure_connection()
    with connection.connection.cursor() as cursor:
        cursor.execute(
            " union all ".join(
                DIGEST.format(name, ",".join(NOT_DECIDED.get(name, []))) for name in sorted(names)
            )
        )
        return {name: (rows, digest) for name, rows, digest in cursor.fetchall()}


def not_in_the_audit(before: Snapshot, after: Snapshot) -> list[str]:
    """Return the tables that changed while the audit did not."""
    if before[AUDIT] != after[AUDIT]:
        return []
    changed = [name for name in before if before[name] != after[name]]
    return [name for name in changed if name != SETTINGS or before[name][0]]
