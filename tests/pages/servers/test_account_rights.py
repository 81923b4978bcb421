"""What an operator may do with the accounts of registers, and what only administrators may."""

import pytest
from django.urls import reverse

from transfer.models import AccountJob

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("in_english")]

FOR_OPERATORS = ("block", "unblock")
FOR_ADMINISTRATORS = ("delete", "renew")


@pytest.fixture
def accounts(docked, six, ordered):
    """Of six registers, on the reference server."""
    ordered("create", six)
    return docked.accounts.order_by("pk")


def order(client, server, registers, action):
    """Orders a change of many accounts, and confirms it. Returns the status of the answer."""
    form = {"action": action, "register": [one.pk for one in registers], "confirmed": "1"}
    return client.post(reverse("server_accounts", args=[server.pk]), form | {"reason": "x"})


def jobs(action):
    return AccountJob.objects.filter(action=action, actor__in=("operator", "administrator"))


@pytest.mark.parametrize("action", FOR_ADMINISTRATORS)
def test_an_operator_neither_deletes_accounts_nor_issues_new_logins(
    log_in, docked, six, accounts, ordered, action
):
    operator, logins = log_in("operator", "operator"), set(accounts.values_list("login", flat=True))
    one = reverse("account_change", args=[accounts[0].pk, action])
    assert operator.get(one).status_code == 403
    assert operator.post(one).status_code == 403
    assert order(operator, docked, six, action).status_code == 403
    again = ordered(action, six[:1])
    address = reverse("job_again", args=[docked.pk, again.pk])
    assert operator.post(address).status_code == 403
    assert not jobs(action).exists()
    assert len(logins & set(accounts.values_list("login", flat=True))) == 5


@pytest.mark.parametrize("action", FOR_ADMINISTRATORS)
def test_an_administrator_does(log_in, docked, six, accounts, action):
    administrator = log_in("administrator", "administrator")
    one = reverse("account_change", args=[accounts[0].pk, action])
    assert administrator.get(one).status_code == 200
    assert order(administrator, docked, six, action).status_code == 302
    assert jobs(action).get().total == 6


def test_an_operator_creates_blocks_and_unblocks(log_in, docked, six, accounts):
    operator = log_in("operator", "operator")
    for action in FOR_OPERATORS:
        one = reverse("account_change", args=[accounts[0].pk, action])
        assert operator.get(one).status_code == 200
        assert order(operator, docked, six, action).status_code == 302
        assert jobs(action).get().total == 6
    accounts.filter(pk=accounts[0].pk).delete()
    assert order(operator, docked, six, "create").status_code == 302
    assert jobs("create").get().total == 1


def test_pages_offer_an_operator_only_what_he_may_do(log_in, docked, six, accounts):
    operator = log_in("operator", "operator")
    page = operator.get(six[0].get_absolute_url()).text
    address = {
        action: reverse("account_change", args=[accounts.get(register=six[0]).pk, action])
        for action in (*FOR_OPERATORS, *FOR_ADMINISTRATORS)
    }
    assert address["block"] in page
    assert address["delete"] not in page
    assert address["renew"] not in page
    assert "An administrator can delete the account or issue new credentials." in page
    listed = operator.get(docked.get_absolute_url()).text
    assert 'value="block"' in listed
    assert 'value="delete"' not in listed
    assert 'value="renew"' not in listed


def test_pages_offer_all_of_it_to_an_administrator(log_in, docked, six, accounts):
    administrator = log_in("administrator", "administrator")
    page = administrator.get(six[0].get_absolute_url()).text
    assert all(words in page for words in ("Block…", "New credentials…", "Delete the account…"))
    assert "An administrator can delete" not in page
    listed = administrator.get(docked.get_absolute_url()).text
    assert all(f'value="{action}"' in listed for action in ("block", "delete", "renew"))


def test_an_operator_is_not_offered_to_repeat_a_deletion_that_failed(
    log_in, docked, six, accounts, ordered
):
    job = ordered("delete", six)
    job.accounts.update(state="created", error_code="api_broken")
    address = reverse("job_again", args=[docked.pk, job.pk])
    assert address not in log_in("operator", "operator").get(job.get_absolute_url()).text
    assert address in log_in("administrator", "administrator").get(job.get_absolute_url()).text
