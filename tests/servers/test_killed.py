"""A worker that is killed while it makes accounts: nothing is lost, no password is void."""

import httpx2
import pytest

from tests.databases import query
from tests.waiting import wait_until
from transfer.models import AccountJob, Actor, CashRegister, IssuedSecret, Shop
from transfer.queue.worker import drain
from transfer.servers.account_job import order
from transfer.tick import tick

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("in_english")]

MANY = 150


@pytest.fixture
def many(db) -> list[CashRegister]:
    shop = Shop.objects.create(code="1")
    return CashRegister.objects.bulk_create(
        [CashRegister(code=f"{n:03}", name=f"Касса {n}", shop=shop) for n in range(MANY)]
    )


def made_there(dsn: str) -> int:
    return query(dsn, "select count(*) from register_account")[0][0]


@pytest.mark.long
def test_another_one_makes_the_rest_and_every_password_is_good(
    docked, reference, bonus_of_reference, many, manage
):
    job = order(docked, AccountJob.Action.CREATE, [one.pk for one in many], Actor("olga"))
    worker = manage("db_worker", "--batch", "--verbosity=0")
    wait_until(lambda: made_there(bonus_of_reference) > MANY / 4)
    worker.kill()
    worker.communicate()
    job.refresh_from_db()
    assert job.is_open
    assert IssuedSecret.objects.count() < MANY

    wait_until(lambda: tick("test").queued_again == 1)
    assert tick("test").queued_again == 0, "it waits in the queue"
    drain(lambda: False)

    job.refresh_from_db()
    assert (job.done, job.failed, job.is_open) == (MANY, 0, False)
    assert docked.accounts.created().count() == made_there(bonus_of_reference) == MANY
    secrets = IssuedSecret.objects.select_related("account")
    logins = [(one.account.login, one.secret) for one in secrets]
    assert len(logins) == MANY
    with httpx2.Client(base_url=reference.work_url, trust_env=False) as register:
        answers = {register.get("/cards/1", auth=login).status_code for login in logins}
    assert answers == {404}, "each is let in, and there is no such card"
