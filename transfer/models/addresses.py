"""The addresses of pages that problems, messages and rows lead to.

`reverse` would import all pages first: half the work of a tick that finds a problem. It would also
look each address up, and a page names hundreds of them.
"""

from django.urls import get_script_prefix

# By the names that `urls.py` gives them; a test compares them.
ADDRESSES = {
    "account_job": "servers/{}/accounts/{}/",
    "approval": "approvals/{}/",
    "approvals": "approvals/",
    "audit": "audit/",
    "bulletin": "bulletins/{}/",
    "changed": "rejects/changed/",
    "maintenance_run": "history/maintenance/runs/{}/",
    "overview": "",
    "problem": "problems/{}/",
    "recipient": "notifications/{}/",
    "register": "registers/{}/",
    "registers": "registers/",
    "reject": "rejects/{}/",
    "rejects": "rejects/",
    "restored": "restored/",
    "rows_missing": "missing/",
    "run": "history/runs/{}/",
    "scheduler": "scheduler/",
    "server": "servers/{}/",
    "servers": "servers/",
    "statement": "statements/{}/",
    "take": "take/{}/",
    "task": "scheduler/{}/",
    "upload": "load/{}/",
    "users": "users/",
}


def address(name: str, *arguments: object) -> str:
    """Return the address of that name. The arguments are numbers, or need no quotes in a URL."""
    return get_script_prefix() + ADDRESSES[name].format(*arguments)
