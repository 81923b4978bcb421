"""What a change of accounts has come to, on its page; credentials shown once, downloaded once."""

from datetime import timedelta

import httpx2
import pytest
from django.contrib.auth.models import Group, User
from django.urls import reverse
from django.utils import timezone

from tests.reference_server import TOKEN
from transfer.models import (
    AccountJob,
    Actor,
    AuditEntry,
    IssuedSecret,
    RegisterAccount,
)
from transfer.servers.account_job import Work
from transfer.servers.checks import check_connections
from transfer.tick import tick

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("in_english")]


@pytest.fixture
def job(docked, six, ordered) -> AccountJob:
    return ordered("create", six)


def at(name: str, job: AccountJob) -> str:
    return reverse(name, args=[job.server_id, job.pk])


def names(page) -> list[str]:
    return [row.record.name for row in page.context["table"].paginated_rows]


def a_day_passes() -> None:
    IssuedSecret.objects.update(created_at=timezone.now() - timedelta(hours=25))
    tick("test")


def test_they_are_shown_once_and_downloaded_once(operator, job):
    secrets = {one.secret for one in IssuedSecret.objects.all()}
    assert not any(secret in operator.get(at("account_job", job)).text for secret in secrets)
    shown = operator.post(at("credentials_show", job))
    assert all(secret in shown.text for secret in secrets)
    assert "no-store" in shown.headers["Cache-Control"]
    again = operator.post(at("credentials_show", job), follow=True)
    assert "The credentials were shown already, or are gone." in again.text
    page = operator.get(at("account_job", job)).text
    assert at("credentials_show", job) not in page
    assert at("credentials_download", job) in page
    file = operator.post(at("credentials_download", job)).content.decode("utf-8-sig")
    assert {line.split(";")[4] for line in file.splitlines()[1:]} == secrets
    part = operator.get(f"{at('account_job', job)}?part=credentials").text
    assert "The credentials were downloaded <time" in part
    assert "data-poll" not in part
    once_more = operator.post(at("credentials_download", job), follow=True).text
    assert "The credentials were downloaded already, or are gone." in once_more
    assert "and are no longer kept here." in once_more
    noted = str(list(AuditEntry.objects.values_list("old", "new")))
    assert not any(secret in noted for secret in secrets)


def test_a_secret_that_a_hostile_server_has_chosen_is_no_formula(operator, job):
    issued = IssuedSecret.objects.first()
    issued.secret = "=cmd|'/c calc'!A0"
    issued.save()
    file = operator.post(at("credentials_download", job)).content.decode("utf-8-sig")
    assert "'=cmd" in file
    assert ";=cmd" not in file


def test_the_servers_page_says_that_they_wait_to_be_taken(operator, docked, six, job, ordered):
    ordered("block", six[:1])
    words = "The logins and passwords of 6 registers can be collected"
    page = operator.get(docked.get_absolute_url()).text
    assert words in page
    assert job.get_absolute_url() in page
    operator.post(at("credentials_download", job))
    assert words not in operator.get(docked.get_absolute_url()).text


def test_what_nobody_took_is_an_error_of_its_register_and_can_be_made_anew(
    operator, docked, six, job, reference
):
    old = set(RegisterAccount.objects.values_list("login", flat=True))
    a_day_passes()
    assert not IssuedSecret.objects.exists()
    page = operator.get(at("account_job", job)).text
    assert "The passwords of 6 registers were never collected" in page
    assert "Try the failed ones again: 6" in page
    register = operator.get(six[0].get_absolute_url()).text
    assert "Nobody collected its password within a day, and it was deleted." in register
    check_connections()
    assert docked.accounts.failed().count() == 6, "that the server has them does not help"

    operator.post(at("job_again", job))
    again = AccountJob.objects.first()
    Work(again).do()
    assert (again.done, again.failed, again.secrets.count()) == (6, 0, 6)
    assert not old & set(RegisterAccount.objects.values_list("login", flat=True))


def test_what_was_shown_and_what_a_register_uses_is_no_error(
    operator, docked, six, job, ordered, reference
):
    secret = job.secrets.select_related("account").first()
    login = (secret.account.login, secret.secret)
    httpx2.get(f"{reference.work_url}/cards/1", auth=login, trust_env=False)
    check_connections()
    a_day_passes()
    assert docked.accounts.failed().count() == 5
    again = ordered("create", six)
    operator.post(at("credentials_show", again))
    a_day_passes()
    assert docked.accounts.created().count() == 6
    assert "The credentials were shown <time" in operator.get(at("account_job", again)).text


def test_a_deleted_account_has_no_password_to_take(operator, six, job, ordered):
    ordered("delete", six[:2])
    file = operator.post(at("credentials_download", job)).content.decode("utf-8-sig")
    assert len(file.splitlines()) == 1 + 4
    assert IssuedSecret.objects.count() == 0


def test_with_another_key_they_are_kept_and_not_taken(operator, job, settings):
    secrets = list(IssuedSecret.objects.values_list("secret", flat=True))
    settings.SECRET_KEY = "another key"
    operator.force_login(User.objects.get(username="olga"))
    for name in ("credentials_show", "credentials_download"):
        page = operator.post(at(name, job), follow=True).text
        assert "can&#x27;t be decrypted" in page
        assert "gAAAA" not in page
    assert IssuedSecret.objects.count() == len(secrets)


# --- Who may collect them -------------------------------------------------------------------------


def collected(client, job: AccountJob) -> set[int]:
    """The statuses of both ways to collect them."""
    pages = [client.post(at(name, job)) for name in ("credentials_show", "credentials_download")]
    secrets = [one.secret for one in IssuedSecret.objects.all()]
    for page in pages:
        assert page.status_code == 200 or not any(one in page.text for one in secrets)
    return {page.status_code for page in pages}


def test_another_operator_gets_none_and_is_told_who_may(log_in, docked, job):
    another = log_in("operator", "ivan")
    assert collected(another, job) == {403}
    page = another.get(at("account_job", job)).text
    words = "Only olga or an administrator can collect them."
    assert words in page
    assert at("credentials_show", job) not in page
    assert at("credentials_download", job) not in page
    servers_page = another.get(docked.get_absolute_url()).text
    assert words in servers_page
    assert "Collect them</a>" not in servers_page
    assert (job.secrets.count(), AccountJob.objects.get().shown_at) == (6, None)


def test_an_administrator_collects_what_an_operator_has_ordered(log_in, job):
    assert collected(log_in("administrator", "boss"), job) == {200}


def test_new_credentials_are_for_administrators_even_if_an_operator_ordered_them(
    operator, log_in, docked, six, job, ordered
):
    """An administrator who ordered them may have become an operator since."""
    operator.post(at("credentials_download", job))
    renewed = ordered("renew", six[:1])
    assert collected(operator, renewed) == {403}
    page = operator.get(at("account_job", renewed)).text
    assert "Only an administrator can collect them." in page
    assert collected(log_in("administrator", "boss"), renewed) == {200}


def test_who_is_no_operator_any_more_gets_none(operator, job):
    User.objects.get(username="olga").groups.set(Group.objects.filter(name="viewer"))
    assert collected(operator, job) == {403}


# --- Register by register -------------------------------------------------------------------------


def test_the_failed_ones_come_first_and_are_found(operator, docked, six, job):
    last = docked.accounts.get(register__name="Касса 2")
    RegisterAccount.objects.filter(pk=last.pk).update(state="error", error_code="api_broken")
    page = operator.get(at("account_job", job))
    assert names(page)[0] == "Касса 2"
    assert len(names(page)) == 6
    assert "Try the failed ones again: 1" in page.text
    page = operator.get(at("account_job", job), {"state": "error"})
    assert names(page) == ["Касса 2"]
    assert names(operator.get(at("account_job", job), {"q": "10."})) == [
        "10.152",
        "10.72",
        "Касса 10.50",
        "Касса 10.52",
    ]


def test_what_a_later_change_took_over_is_counted(operator, six, job, ordered):
    ordered("block", six[:2])
    page = operator.get(at("account_job", job))
    assert len(names(page)) == 4
    assert "2 registers were changed again or removed since" in page.text


def test_an_open_job_shows_its_progress_and_reloads_its_page_when_it_ends(operator, docked, six):
    job = AccountJob.order(docked, AccountJob.Action.CREATE, [one.pk for one in six], Actor("olga"))
    assert 'data-poll="1"' in operator.get(at("account_job", job)).text
    assert 'data-poll="1"' in operator.get(at("account_job", job), {"part": 1}).text
    AccountJob.objects.update(finished_at=timezone.now())
    ended = operator.get(at("account_job", job), {"part": 1})
    assert ended.headers["HX-Refresh"] == "true"


def test_an_account_that_was_there_says_so_until_its_register_calls(
    docked, six, reference, ordered
):
    admin = {"Authorization": f"Bearer {TOKEN}"}
    url = f"http://127.0.0.1:{reference.admin_port}/accounts"
    body = {"register": "17", "shop": "111", "name": "Касса 17"}
    made = httpx2.post(url, headers=admin, json=body, trust_env=False).json()
    ordered("create", six)
    account = docked.accounts.get(register__code="17")
    check_connections()
    account.refresh_from_db()
    assert account.error_code == "api_register_exists"
    login = (made["login"], made["secret"])
    httpx2.get(f"{reference.work_url}/cards/1", auth=login, trust_env=False)
    check_connections()
    account.refresh_from_db()
    assert account.error_code == ""
