"""What a process imports that shows no pages: a new one starts every minute."""

import json
import subprocess
import sys

import pytest

from tests.conftest import NOON
from tests.databases import ROOT, query, stage
from transfer.models import FailedStep, Incident, TransferRun
from transfer.models.run_base import State

pytestmark = pytest.mark.django_db(transaction=True)

# Pages, the API, their libraries, and what only files and log-ins need.
NOT_NEEDED = (
    *("transfer.pages", "transfer.http_api", "transfer.urls", "ninja", "pydantic"),
    *("openpyxl", "segno", "fido2", "allauth.account.views", "allauth.mfa.base.views"),
    *("allauth.mfa.totp", "allauth.mfa.webauthn", "allauth.socialaccount.views"),
)
# More than `django.setup()` imports with our models: today 106.
MOST_MODULES = 180

COMMANDS = ("db_worker", "run_scheduler", "transfer", "task", "server", "reconcile")
PROGRAM = """
import json, sys
import django
django.setup()
with_models = set(sys.modules)
from django.core.management import call_command, load_command_class
call_command(*sys.argv[1].split())
after_it = set(sys.modules)
for name in sys.argv[2].split():
    load_command_class("transfer", name)
print(json.dumps([len(after_it - with_models), sorted(sys.modules)]))
"""


def test_a_tick_that_moves_rows_and_finds_a_problem_imports_no_page(
    switched_on, bonus, shop_all, environment
):
    stage(shop_all, "balances", [("4100", 5)])
    type(switched_on).objects.filter(pk=switched_on.pk).update(next_run_at=NOON)
    FailedStep.note_failure("arrivals", "", ValueError())
    added, modules = modules_of("run_due_tasks", environment)
    assert TransferRun.objects.get().state == State.SUCCEEDED
    assert query(bonus, "select amount from asset") == [(5,)]
    assert Incident.objects.open().filter(code="step").exists()
    assert [name for name in modules if name.startswith(NOT_NEEDED)] == []
    assert added <= MOST_MODULES


def modules_of(command, environment):
    """How many modules the command has imported, and all modules once others are loaded, too."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, command, " ".join(COMMANDS)],
        env={**environment, "DJANGO_SETTINGS_MODULE": "dtadmin.settings"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout.splitlines()[-1])
