"""Accounts of registers on a real reference server: made, seen, blocked, deleted."""

import httpx2
import pytest
from django.utils import timezone

from transfer.models import AccountJob, AuditEntry, IssuedSecret, RegisterAccount, SeenDay
from transfer.models.accounts import AccountState
from transfer.servers.account_job import Work, change_one
from transfer.servers.checks import check_connections

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("in_english")]


def shown(server) -> dict[str, str]:
    return dict(server.accounts.values_list("register__code", "shown_state"))


def test_the_six_registers_of_the_source_document_get_their_accounts(docked, six, ordered):
    job = ordered("create", six)
    assert (job.total, job.done, job.failed) == (6, 6, 0)
    assert job.finished_at is not None
    assert set(shown(docked).values()) == {"never_seen"}
    assert job.secrets.count() == 6


def test_a_register_that_calls_with_its_secret_is_online_after_the_next_check(
    docked, six, ordered, reference
):
    job = ordered("create", six)
    secret = job.secrets.select_related("account").get(account__register__code="17")
    login = (secret.account.login, secret.secret)
    assert httpx2.get(f"{reference.work_url}/cards/1", auth=login).status_code == 404
    report = check_connections()
    assert report == {"servers": 1, "no_token": 0, "failing": 0, "registers": 6}
    docked.refresh_from_db()
    assert docked.state == "available"
    assert shown(docked)["17"] == "online"
    assert shown(docked)["2"] == "never_seen"
    assert bin(SeenDay.objects.get().hours).count("1") == 1


def test_a_second_try_makes_only_what_is_missing(docked, six, ordered):
    ordered("create", six[:3])
    job = ordered("create", six)
    assert (job.total, job.done, job.failed) == (3, 3, 0)


def test_block_unblock_and_delete(docked, six, ordered):
    ordered("create", six)
    ordered("block", six[:2])
    assert list(shown(docked).values()).count(AccountState.BLOCKED) == 2
    ordered("unblock", six[:1])
    assert list(shown(docked).values()).count(AccountState.BLOCKED) == 1
    job = ordered("delete", six[:4])
    assert (job.total, job.done, job.failed) == (4, 4, 0)
    assert list(shown(docked).values()).count(AccountState.NOT_CREATED) == 4


def test_what_somebody_made_or_deleted_there_is_seen_by_the_next_check(
    docked, six, ordered, reference
):
    ordered("create", six[:2])
    headers = {"Authorization": f"Bearer {docked.api_token}"}
    with httpx2.Client(
        base_url=f"http://127.0.0.1:{reference.admin_port}", headers=headers
    ) as admin:
        admin.delete("/accounts/10.152")
        admin.post("/accounts", json={"register": "17", "shop": "111", "name": "Касса 17"})
        admin.post("/accounts", json={"register": "not ours", "shop": "1", "name": "x"})
    check_connections()
    assert shown(docked) == {"10.152": "not_created", "10.72": "never_seen", "17": "never_seen"}


def test_an_account_that_was_there_before_is_taken_over_and_says_so(
    docked, six, ordered, reference
):
    httpx2.post(
        f"http://127.0.0.1:{reference.admin_port}/accounts",
        headers={"Authorization": f"Bearer {docked.api_token}"},
        json={"register": "17", "shop": "111", "name": "Касса 17"},
    )
    job = ordered("create", six)
    assert job.failed == 0
    account = docked.accounts.get(register__code="17")
    assert account.state == "created"
    assert account.error_code == "api_register_exists"
    assert not IssuedSecret.objects.filter(account=account).exists()


def test_a_job_whose_worker_died_goes_on_and_lost_secrets_are_made_anew(
    docked, six, ordered, reference
):
    """The account was made, and the worker died before it had saved the secret."""
    httpx2.post(
        f"http://127.0.0.1:{reference.admin_port}/accounts",
        headers={"Authorization": f"Bearer {docked.api_token}"},
        json={"register": "17", "shop": "111", "name": "Касса 17"},
    )
    RegisterAccount.objects.create(server=docked, register=six[4], state="error", reply_lost=True)
    job = ordered("create", six)
    assert (job.done, job.failed, job.secrets.count()) == (6, 0, 6)
    assert AccountJob.objects.pending().count() == 0


def test_lost_credentials_are_issued_anew_and_the_old_ones_are_refused(
    docked, six, ordered, reference
):
    job = ordered("create", six[:2])
    old = dict(job.secrets.values_list("account", "secret"))
    logins = dict(docked.accounts.values_list("pk", "login"))
    account = docked.accounts.get(register=six[0])
    again = ordered("renew", six[:1])
    assert (again.total, again.done, again.failed) == (1, 1, 0)
    account.refresh_from_db()
    assert account.login != logins[account.pk]
    (new,) = again.secrets.all()
    assert new.secret != old[account.pk]
    url = f"{reference.work_url}/cards/1"
    before = httpx2.get(url, auth=(logins[account.pk], old[account.pk]))
    after = httpx2.get(url, auth=(account.login, new.secret))
    assert (before.status_code, after.status_code) == (401, 404)


def test_new_credentials_of_a_job_that_died_in_between_are_made_once_more(
    docked, six, ordered, reference
):
    ordered("create", six[:1])
    docked.accounts.update(reply_lost=True, last_seen=timezone.now())
    job = ordered("renew", six[:1])
    assert (job.done, job.failed, job.secrets.count()) == (1, 0, 1)
    check_connections()
    assert shown(docked) == {"10.152": "never_seen"}


def test_who_has_blocked_a_register_and_why_is_known_until_it_is_unblocked(
    docked, six, ordered, reference, olga
):
    ordered("create", six[:2])
    one, two = docked.accounts.order_by("register__code")
    change_one(one, AccountJob.Action.BLOCK, olga, "stolen")
    job = AccountJob.order(docked, AccountJob.Action.BLOCK, [two.register_id], olga, "repair")
    Work(job).do()
    check_connections()
    noted = docked.accounts.order_by("register__code").values_list("blocked_by", "block_reason")
    assert list(noted) == [("olga", "stolen"), ("olga", "repair")]
    assert [entry.reason for entry in AuditEntry.objects.exclude(reason="")] == ["repair", "stolen"]
    httpx2.post(
        f"http://127.0.0.1:{reference.admin_port}/accounts/{one.register.code}/unblock",
        headers={"Authorization": f"Bearer {docked.api_token}"},
    )
    check_connections()
    two.refresh_from_db()
    change_one(two, AccountJob.Action.UNBLOCK, olga)
    assert set(docked.accounts.values_list("blocked", "blocked_by", "block_reason")) == {
        (False, "", "")
    }
