"""Every URL × role × method: who may open what, and who is refused."""

from collections.abc import Callable
from copy import deepcopy
from typing import Any, NamedTuple

import pytest
from django.contrib.auth.models import User
from django.db import transaction
from django.test import Client
from django.urls import reverse

from tests.http_api.conftest import a_key
from tests.pages.look import own_patterns
from tests.pages.things import arguments, things
from tests.records import user
from transfer.models import AccountJob, Approver

ROLES = ["nobody", "without", "viewer", "operator", "administrator"]
# Beside the roles: a viewer with the right to approve, and a program with a key of the API, for all
# that keys may do.
VISITORS = [*ROLES, "approver", "key"]
LONG = ("without", "approver")  # may do little, or what another one may
METHODS = ["get", "head", "post", "put"]
LOWEST, HIGHEST = ROLES[0], ROLES[-1]


class Rule(NamedTuple):
    """The lowest role that may, and by which methods. Where GET may, HEAD may, too."""

    needs: str
    methods: str


LOOK = Rule("viewer", "get")
ACT = Rule("operator", "post")
FORM = Rule("operator", "get post")
RULE = Rule("administrator", "get post")

# Rights that no role has alone, and who has them.
OF_APPROVERS = {"approver": {"approver"}, "overseer": {"approver", "administrator"}}

OWN = Rule("without", "get post put")  # one's own second factors: Django's FormView takes PUT

RULES = {
    "overview": LOOK,
    "problem": LOOK,
    "take": Rule("nobody", "get post"),  # by the link of a message, for this problem alone
    "problem_take": ACT,
    "problem_give_back": ACT,
    "problem_mute": ACT,
    "problem_unmute": ACT,
    "problems_take": ACT,
    # What is asked and told after a restore, and of rows that were deleted by hand
    "restored": Rule("viewer", "get post"),  # to others than administrators it says who confirms
    "restored_lost": LOOK,
    "rows_missing": LOOK,
    "rows_forget": RULE,
    "bulletin": LOOK,
    "bulletin_dismiss": ACT,
    # The scheduler
    "scheduler": LOOK,
    "scheduler_show": Rule("viewer", "post"),
    "scheduler_bulk": ACT,
    "task": LOOK,
    "task_switch": ACT,
    "task_undo": ACT,
    "task_explain": ACT,
    "task_run": ACT,
    "task_cancel": ACT,
    "task_pause": FORM,
    "server_pause": FORM,
    "server_leave_behind": RULE,
    "server_take_back": Rule("administrator", "post"),
    "task_resume": ACT,
    "task_schedule": FORM,
    # The history
    "history": LOOK,
    "history_csv": LOOK,
    "history_xlsx": LOOK,
    "history_grid": LOOK,
    "history_maintenance": LOOK,
    "history_maintenance_csv": LOOK,
    "history_maintenance_xlsx": LOOK,
    "run": LOOK,
    "run_live": LOOK,
    "run_row": LOOK,
    "run_cancel": FORM,
    "run_again": ACT,
    "maintenance_run": LOOK,
    "maintenance_run_live": LOOK,
    "maintenance_run_row": LOOK,
    "maintenance_run_cancel": FORM,
    "maintenance_run_again": ACT,
    # Bonus servers
    "servers": LOOK,
    "server_add": RULE,
    "server_add_test": Rule("administrator", "post"),
    "server": LOOK,
    "server_live": LOOK,
    "server_tasks": LOOK,
    "server_edit": RULE,
    "server_edit_test": Rule("administrator", "post"),
    "server_remove": RULE,
    "server_beginning": RULE,
    "server_own_name": Rule("administrator", "post"),
    "server_test": ACT,
    "server_reconciliation": LOOK,
    # Accounts of registers
    "server_accounts": ACT,
    "account_job": Rule("operator", "get"),
    "job_again": ACT,
    "credentials_show": ACT,
    "credentials_download": ACT,
    "account_change": FORM,
    # Registers and shops
    "registers": LOOK,
    "register_add": FORM,
    "register_import": FORM,
    "register_export": LOOK,
    "register": LOOK,
    "register_edit": FORM,
    "register_remove": FORM,
    "register_mothball": ACT,
    "shops": LOOK,
    "shop_add": FORM,
    "shop_edit": FORM,
    "shop_remove": FORM,
    # Files, single changes, the trace
    "loads": LOOK,
    "upload_file": ACT,
    "load_template": LOOK,
    "upload": LOOK,
    "upload_arrival": LOOK,
    "upload_run": ACT,
    "upload_reading": ACT,
    "upload_confirm": ACT,
    "upload_discard": ACT,
    "upload_again": ACT,
    "upload_bad_lines": LOOK,
    "upload_undo": FORM,
    "upload_rest": LOOK,
    "entry": FORM,
    "entry_confirm": FORM,
    "trace": LOOK,
    # Rejected rows
    "rejects": LOOK,
    "rejects_csv": LOOK,
    "rejects_xlsx": LOOK,
    "rejects_resend": FORM,
    "rejects_discard": FORM,
    "rejects_grid": FORM,
    "changed": LOOK,
    "changed_decide": FORM,
    "reject": LOOK,
    "reject_resend": ACT,
    "reject_discard": ACT,
    # What needs a second person; who enters what. The right to approve is of no role.
    # Statements
    "statements": LOOK,
    "statement_make": FORM,
    "statement": LOOK,
    "statement_json": LOOK,
    "statement_xlsx": LOOK,
    "approvals": LOOK,
    "approval": LOOK,
    "approval_approve": Rule("approver", "post"),
    "approval_refuse": Rule("approver", "post"),
    "by_hand": Rule("overseer", "get"),
    "by_hand_csv": Rule("overseer", "get"),
    "by_hand_xlsx": Rule("overseer", "get"),
    # For administrators
    "settings": RULE,
    "audit": Rule("administrator", "get"),
    "audit_csv": Rule("administrator", "get"),
    "audit_xlsx": Rule("administrator", "get"),
    "users": Rule("administrator", "get"),
    "users_unlock": Rule("administrator", "post"),
    "user_add": RULE,
    "user": RULE,
    "user_password": RULE,
    "user_factors": RULE,
    "user_close": RULE,
    "user_reopen": Rule("administrator", "post"),
    "keys": Rule("administrator", "get"),
    "key_add": RULE,
    "key_revoke": RULE,
    # The user's own things. Without a log-in one logs in, or chooses how that page looks.
    "account_login": Rule("nobody", "get post put"),
    "mfa_login_webauthn": Rule("nobody", "get post put"),
    "openid_connect_login": Rule("nobody", "get"),
    "openid_connect_callback": Rule("nobody", "get"),
    "mfa_authenticate": Rule("nobody", "get post put"),  # without a password, to the log-in
    "notifications": Rule("administrator", "get"),
    "recipient_add": RULE,
    "recipient": RULE,
    "recipient_test": Rule("administrator", "post"),
    "recipient_remove": RULE,
    "work_add": FORM,
    "work_end": FORM,
    "help": Rule("without", "get"),
    "help_operations": Rule("without", "get"),
    "help_paper": Rule("without", "get"),
    "help_picture": Rule("without", "get"),
    "health_live": Rule("nobody", "get"),
    "health_database": Rule("nobody", "get"),
    "health_ready": Rule("nobody", "get"),
    "metrics": Rule("nobody", "get"),
    "logout": Rule("nobody", "post"),
    "account": Rule("without", "get"),
    "change_password": Rule("without", "get post put"),
    "account_reauthenticate": OWN,
    "mfa_reauthenticate": OWN,
    "mfa_index": Rule("without", "get"),
    "mfa_activate_totp": OWN,
    "mfa_deactivate_totp": OWN,
    "mfa_reauthenticate_webauthn": OWN,
    "mfa_add_webauthn": OWN,
    "mfa_remove_webauthn": OWN,
    "mfa_view_recovery_codes": Rule("without", "get"),
    "mfa_generate_recovery_codes": OWN,
    "set_time_zone": Rule("without", "post"),
    "set_language": Rule("nobody", "post"),
    "set_theme": Rule("nobody", "post"),
    # For programs: no role opens it, and their keys open nothing else. See tests/http_api/.
    "api": Rule("key", "get"),
}


@pytest.fixture(autouse=True)
def quiet(caplog):
    """Each refusal is logged, with all of its page's variables."""
    caplog.set_level("CRITICAL", "django.request")


@pytest.fixture
def urls(db, shop_all, settings) -> dict[str, str]:
    """The address of every page, about something that is there; with a provider, who is away."""
    settings.OIDC_ISSUER, settings.EMERGENCY_USERS = (
        "http://127.0.0.1:9",
        [*ROLES, "approver", "root"],
    )
    app = {"provider_id": "sso", "client_id": "x", "settings": {"server_url": "http://127.0.0.1:9"}}
    settings.SOCIALACCOUNT_PROVIDERS = {"openid_connect": {"APPS": [app]}}
    about = things()
    AccountJob.objects.update(actor="operator")  # another operator collects no credentials
    settings.SITE_URL = "https://dtadmin.shop.local"
    return {name: reverse(name, kwargs=arguments(name, about)) for name in RULES}


def asking_as(role: str) -> Callable[[str, str], Any]:
    """Asks as that role. The changes of each request are undone; one of them logs out."""
    client = Client(raise_request_exception=False)
    if role == "key":
        headers = {"Authorization": f"Bearer {a_key().secret}"}
        client = Client(raise_request_exception=False, headers=headers)
    elif role != "nobody":
        client.force_login(User.objects.get(username=role))
    cookies = deepcopy(client.cookies)

    def ask(method: str, url: str) -> Any:
        client.cookies = deepcopy(cookies)
        with transaction.atomic():
            response = getattr(client, method)(url)
            if response.streaming:
                b"".join(response)
            transaction.set_rollback(True)
        return response

    return ask


def methods_for(rule: Rule, role: str) -> list[str]:
    """What reads and what writes: asked by all whom the table refuses, by the lowest role that may
    and by the highest. Those between have all rights of the lowest.

    PUT is tried by the highest role and the lowest: roles are asked before methods. So is HEAD,
    which the highest role asks in the place of a GET where a lower one has asked that.
    """
    if role == LOWEST:
        return METHODS
    if role == HIGHEST:
        return ["get" if rule.needs == HIGHEST else "head", "post", "put"]
    is_lowest = role in {rule.needs} | OF_APPROVERS.get(rule.needs, set())
    return ["get", "post"] if is_lowest or not is_allowed(rule, role) else []


def is_allowed(rule: Rule, role: str) -> bool:
    """To pages a program with a key is a stranger; to the API everybody without one is."""
    if "key" in (role, rule.needs):
        return rule.needs in (role, "nobody")
    if rule.needs in OF_APPROVERS:
        return role in OF_APPROVERS[rule.needs]
    role = "viewer" if role == "approver" else role
    return ROLES.index(role) >= ROLES.index(rule.needs)


def is_right(rule: Rule, role: str, method: str, response: Any) -> bool:
    code = response.status_code
    if not is_allowed(rule, role):
        if rule.needs == "key":
            return code == 401
        to_the_login = code == 302 and response.url.startswith("/login/")
        return to_the_login if role in ("nobody", "key") else code == 403
    if method.replace("head", "get") not in rule.methods.split():
        return code == 405
    return code in {200, 302, 409, 422}


@pytest.mark.parametrize(
    "role",
    [pytest.param(one, marks=pytest.mark.long) if one in LONG else one for one in VISITORS],
)
def test_each_role_may_do_what_the_table_says_and_nothing_else(urls, role):
    if role not in ("nobody", "key"):
        groups = {"without": None, "approver": "viewer"}
        made = user(groups.get(role, role), role)
        if role == "approver":
            Approver.objects.create(user=made)
    ask, wrong = asking_as(role), []
    for name, rule in RULES.items():
        for method in methods_for(rule, role):
            response = ask(method, urls[name])
            if not is_right(rule, role, method, response):
                wrong.append((name, method, response.status_code))
            # Another person at the browser after a log-out, and a proxy that keeps answers
            if "no-store" not in response.headers.get("Cache-Control", "") and role == HIGHEST:
                wrong.append((name, method, "is kept"))
    assert wrong == []


def test_every_url_stands_in_the_table():
    assert {one.name for one in own_patterns()} == set(RULES)


def test_nothing_is_written_without_the_key_against_forgery(urls):
    client = Client(enforce_csrf_checks=True)
    client.force_login(User.objects.create_superuser("root"))
    open_to = []
    for name, rule in RULES.items():
        if "post" in rule.methods:
            response = client.post(urls[name])
            refused = [one.name for one in response.templates if one.name == "403_csrf.html"]
            if response.status_code != 403 or not refused:
                open_to.append(name)
    assert open_to == []
