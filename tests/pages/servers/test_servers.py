"""Docking and undocking a bonus server, its connection test, and its secrets in forms."""

import re

import pytest
from django.core.cache import cache
from django.db import connection
from django.urls import reverse
from django.utils import timezone
from django.utils.html import strip_tags

from tests import misbehaving
from tests.databases import connected, query, run, stage as stage_rows
from tests.records import a_reject, server, user
from tests.reference_server import TOKEN
from tests.waiting import wait_until
from transfer.causes.connections import UNREACHABLE
from transfer.engine.kinds import KINDS
from transfer.errors import Unreachable
from transfer.management.docking import database_fields
from transfer.models import AccountJob, Actor, AuditEntry, BonusServer, TransferTask
from transfer.pages.parts.audit_words import subject
from transfer.pages.shown.task_groups import MANY
from transfer.parties import database_of
from transfer.queue.locks import Space
from transfer.runs import backlog
from transfer.runs.backlog import Backlog
from transfer.servers import stages

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("in_english")]


def fields(server: BonusServer, **changed) -> dict:
    names = """name host admin_port work_port api_ca db_host db_port db_name db_user db_sslmode"""
    known = {name: getattr(server, name) for name in names.split()}
    return known | {"api_token": "", "db_password": "", "api_verify": "on"} | changed


def test_the_page_runs_stage_after_stage_and_uses_the_stored_secret(admin, docked):
    url = reverse("server_edit_test", args=[docked.pk])
    asked, stage = [], ""
    for _ in range(10):
        page = admin.post(url, fields(docked) | {"stage": stage}, headers={"HX-Request": "true"})
        text = page.content.decode()
        assert TOKEN not in text
        following = re.search(r'"stage": "(\w+)"', text)
        if following is None:
            break
        stage = following[1]
        asked.append(stage)
    assert asked == list(stages.STAGES)
    assert "may do all" in text


def another(docked, dsn, **changed) -> dict:
    """The values of a further server at the same ports, with a database of its own."""
    own = {name: value for name, value in database_fields(dsn).items() if value}
    return fields(docked, name="New", api_token=TOKEN, **own) | changed


def swapped(docked) -> dict:
    return {"admin_port": docked.work_port, "work_port": docked.admin_port}


def test_swapped_ports_are_swapped_by_one_button_and_nothing_else_is_lost(
    admin, docked, second_bonus
):
    data = another(docked, second_bonus, **swapped(docked))
    part = {"HX-Request": "true"}
    url = reverse("server_add_test")
    page = admin.post(url, data | {"stage": "ports"}, headers=part).content.decode()
    assert "the ports are swapped" in page
    assert 'name="swap"' in page
    page = admin.post(url, data | {"swap": "1"}, headers=part).content.decode()
    ports = dict(re.findall(r'name="(\w+_port)" value="(\d+)"[^>]*hx-swap-oob="true"', page))
    assert ports == {
        "admin_port": str(docked.admin_port),
        "work_port": str(docked.work_port),
    }
    assert '"stage": "name"' in page, "the test begins again"
    assert TOKEN not in page


def test_without_javascript_the_form_comes_back_with_swapped_ports(admin, docked, second_bonus):
    data = another(docked, second_bonus, **swapped(docked))
    page = admin.post(reverse("server_add_test"), data | {"swap": "1"})
    form = page.context["form"]
    assert (form["admin_port"].value(), form["work_port"].value()) == (
        str(docked.admin_port),
        str(docked.work_port),
    )
    assert form["name"].value() == "New"
    assert "may do all" in page.content.decode()


def test_a_docked_server_whose_ports_are_swapped_leads_to_the_form(admin, docked):
    BonusServer.objects.filter(pk=docked.pk).update(**swapped(docked))
    page = admin.post(reverse("server_test", args=[docked.pk])).content.decode()
    url = f"{reverse('server_edit', args=[docked.pk])}?swap"
    assert f'href="{url}"' in page
    form = admin.get(url).context["form"]
    assert (form["admin_port"].value(), form["work_port"].value()) == (
        docked.admin_port,
        docked.work_port,
    )


def test_to_swap_the_ports_does_not_send_the_stored_token_to_another_one(admin, docked):
    for url in (
        f"{reverse('server_edit', args=[docked.pk])}?swap",
        reverse("server_edit_test", args=[docked.pk]),
    ):
        page = admin.post(url, fields(docked, **swapped(docked)))
        assert list(page.context["form"].errors) == ["api_token"]


def test_without_javascript_it_is_one_page_and_nothing_is_saved(admin, docked):
    url = reverse("server_edit_test", args=[docked.pk])
    page = admin.post(url, fields(docked, api_token="wrong", name="New name"))
    text = page.content.decode()
    assert "refuses the API token" in text
    assert text.count("not tried") == 3
    docked.refresh_from_db()
    assert (docked.name, docked.api_token) == ("Бонусный сервер 8", TOKEN)


def test_a_form_with_mistakes_is_not_tested(admin):
    page = admin.post(reverse("server_add_test"), {"name": "x"}, headers={"HX-Request": "true"})
    assert "Correct these fields first" in page.content.decode()


# --- Dock, change, undock -------------------------------------------------------------------------


def test_docking_encrypts_the_secrets_and_notes_no_secret(admin, docked):
    changes = {"name": "Server 9", "api_token": "t0ken", "db_password": "s3cret"}
    data = fields(docked, **changes, db_name="another")
    page = admin.post(reverse("server_add"), data)
    server = BonusServer.objects.get(name="Server 9")
    assert page.url == reverse("server", args=[server.pk])
    assert (server.api_token, server.db_password) == ("t0ken", "s3cret")
    assert server.tasks.count() == len(KINDS)
    with connection.cursor() as cursor:
        cursor.execute("select api_token, db_password from transfer_bonusserver")
        stored = str(cursor.fetchall())
    entry = AuditEntry.objects.about(server).get()
    assert "t0ken" not in stored + str(entry.new)
    assert "s3cret" not in stored + str(entry.new)


def test_an_empty_secret_keeps_the_stored_one_and_no_page_shows_it(admin, docked):
    url = reverse("server_edit", args=[docked.pk])
    assert TOKEN not in admin.get(url).content.decode()
    admin.post(url, fields(docked, name="New name"))
    docked.refresh_from_db()
    assert (docked.name, docked.api_token) == ("New name", TOKEN)
    entry = AuditEntry.objects.about(docked).get()
    assert (entry.old, entry.new) == ({"name": "Бонусный сервер 8"}, {"name": "New name"})


@pytest.mark.parametrize(
    ("field", "value", "secret"),
    [
        ("host", "elsewhere", "api_token"),
        ("admin_port", "7780", "api_token"),
        ("api_tls", "on", "api_token"),
        ("api_verify", "", "api_token"),
        ("db_host", "elsewhere", "db_password"),
        ("db_port", "5499", "db_password"),
        ("db_name", "elsewhere", "db_password"),
        ("db_sslmode", "disable", "db_password"),
        ("db_any_auth", "on", "db_password"),
    ],
)
def test_a_secret_is_asked_for_anew_when_it_would_be_sent_elsewhere_or_less_safely(
    admin, docked, field, value, secret
):
    BonusServer.objects.filter(pk=docked.pk).update(db_password="s3cret")
    for name in ("server_edit", "server_edit_test"):
        page = admin.post(reverse(name, args=[docked.pk]), fields(docked, **{field: value}))
        assert list(page.context["form"].errors) == [secret]
        assert "results" not in page.context
    docked.refresh_from_db()
    assert (docked.api_token, docked.db_password) == (TOKEN, "s3cret")
    data = fields(docked, **{field: value, secret: "another"})
    admin.post(reverse("server_edit", args=[docked.pk]), data)
    docked.refresh_from_db()
    assert getattr(docked, secret) == "another"


def test_a_test_with_another_host_tells_nobody_the_stored_token(admin, docked):
    """As it was shown: the token came to any listener."""
    heard = []
    with misbehaving.server(lambda one, number: heard.append(one.recv(4096))) as port:
        data = fields(docked, host="127.0.0.1", admin_port=port, work_port=port)
        admin.post(reverse("server_edit_test", args=[docked.pk]), data)
    assert TOKEN not in str(heard)


def test_each_connection_test_stands_in_the_audit_once_with_where_it_went(admin, docked):
    for stage in ["", *stages.STAGES]:
        data = fields(docked, db_user="another") | {"stage": stage}
        url = reverse("server_edit_test", args=[docked.pk])
        admin.post(url, data, headers={"HX-Request": "true"})
    page = admin.post(reverse("server_test", args=[docked.pk]))
    assert "may do all" in page.content.decode()
    form, stored = AuditEntry.objects.filter(action="test").order_by("pk")
    assert (form.who, form.subject_id, form.new["db_user"]) == ("olga", docked.pk, "another")
    assert stored.new["db_user"] == docked.db_user
    assert TOKEN not in str(AuditEntry.objects.values())


@pytest.mark.parametrize("text", ["hello", "привет"])
def test_no_certificate_and_a_token_in_russian_are_refused_at_their_fields(admin, docked, text):
    data = fields(docked, api_ca=text, api_token="ключ")
    page = admin.post(reverse("server_edit", args=[docked.pk]), data)
    assert set(page.context["form"].errors) == {"api_ca", "api_token"}
    assert "ключ" not in page.content.decode()


def test_undocking_asks_and_keeps_history_rejects_and_audit(admin, docked):
    from transfer.models import RejectedRow, TransferRun
    from transfer.models.run_base import State

    task = docked.tasks.get(kind="balances")
    run = TransferRun.of(task, TransferRun.Trigger.MANUAL)
    run.state = State.REJECTS
    run.save()
    a_reject(docked, run=run, payload={})
    url = reverse("server_remove", args=[docked.pk])
    asked = admin.get(url).content.decode()
    assert "The history of its transfers and its rejected rows are kept." in asked
    assert BonusServer.objects.exists()
    admin.post(url)
    assert not BonusServer.objects.exists()
    run = TransferRun.objects.get()
    assert (run.server, run.server_name) == (None, "Бонусный сервер 8")
    assert RejectedRow.objects.get().server_name == "Бонусный сервер 8"
    assert subject(AuditEntry.objects.get(action="delete")) == "Бонусный сервер 8"


def test_a_server_is_not_undocked_while_rows_are_moved_to_it(admin, docked):
    from transfer.models import TransferRun

    task = docked.tasks.get(kind="balances")
    TransferRun.of(task, TransferRun.Trigger.MANUAL).start()
    admin.post(reverse("server_remove", args=[docked.pk]))
    assert BonusServer.objects.exists()


def test_nor_while_its_accounts_are_changed_and_passwords_that_wait_are_told_of(
    admin, docked, six, ordered, own_database
):
    ordered("create", six)
    url = reverse("server_remove", args=[docked.pk])
    assert "The passwords of 6 registers have not been collected yet" in admin.get(url).text
    job = AccountJob.order(docked, AccountJob.Action.BLOCK, [six[0].pk], Actor("olga"))
    with connected(own_database) as worker:
        run(worker, "select pg_advisory_lock(%s, %s)", [Space.ACCOUNT_JOB, job.pk])
        page = admin.post(url, follow=True)
    assert "Accounts of registers are being changed on it." in page.text
    assert BonusServer.objects.exists()
    wait_until(lambda: admin.post(url) and not BonusServer.objects.exists())


def test_a_token_that_was_refused_leaves_the_stored_ones_readable(admin, docked):
    admin.post(reverse("server_edit", args=[docked.pk]), fields(docked, api_token="ключ"))
    docked.refresh_from_db()
    assert docked.api_token == TOKEN


@pytest.mark.parametrize("page", ["server", "server_tasks"])
def test_its_page_asks_what_waits_for_its_tasks(admin, receiver, shop_all, page):
    """No other page has counted them: the server has just been docked, or answers again."""
    cache.clear()
    stage_rows(shop_all, "balances", [("4100", 1), ("4100", 2)])
    task = receiver.tasks.get(kind="balances")
    text = admin.get(reverse(page, args=[receiver.pk])).text
    link = text.partition(f'id="waits-transfer-{task.pk}"')[2].partition("</a>")[0]
    assert link.endswith(">2")
    assert "being asked" not in text


def test_a_viewer_is_offered_no_change(client, in_english):
    eight = server()
    client.force_login(user("viewer"))
    text = client.get(eight.get_absolute_url()).text
    assert 'value="create"' not in text
    assert reverse("server_test", args=[eight.pk]) not in text


def test_a_server_that_was_just_docked_is_tested_by_itself_once(admin):
    new = BonusServer(name="Бонусный сервер 9", host="localhost", db_name="nowhere")
    page = admin.post(reverse("server_add"), fields(new), follow=True)
    docked = BonusServer.objects.get()
    asks = f'hx-post="{reverse("server_test", args=[docked.pk])}" hx-trigger="load"'
    assert asks in page.content.decode()
    assert asks not in admin.get(docked.get_absolute_url()).content.decode()


def test_docking_begins_positions_and_asks_what_has_to_be_decided_first(admin, shop_all, bonus):
    stage_rows(shop_all, "balances", [("4100", 5)])
    new = BonusServer(name="БС 9", host="localhost", **database_fields(bonus))
    page = admin.post(reverse("server_add"), fields(new), follow=True)
    assert page.redirect_chain == [(f"/servers/{BonusServer.objects.get().pk}/beginning/", 302)]
    assert "Balance changes: 1 row in shop All" in page.text
    begun = {kind for (kind,) in query(bonus, "select kind from datatransfer.position")}
    assert begun == KINDS.keys() - {"balances"}


def test_a_database_is_docked_once(admin, docked):
    page = admin.post(reverse("server_add"), fields(docked, name="Server 9", db_password="x"))
    assert page.context["form"].errors["db_name"] == [
        "This is the database of Бонусный сервер 8. A database is docked once: correct it, or "
        "undock Бонусный сервер 8 first."
    ]
    admin.post(reverse("server_edit", args=[docked.pk]), fields(docked, name="New name"))
    assert BonusServer.objects.get().name == "New name"


@pytest.mark.django_db(transaction=True)
def test_the_test_in_the_form_says_that_another_server_has_the_same_ports(admin, docked):
    data = fields(docked, name="Server 9", api_token=TOKEN, db_name="another") | {"stage": "ports"}
    page = admin.post(reverse("server_add_test"), data, headers={"HX-Request": "true"})
    assert "But Бонусный сервер 8 has the same host and port" in page.text
    assert '"stage": "token"' in page.text, "it blocks nothing"
    data["host"] = "127.0.0.2"
    page = admin.post(reverse("server_add_test"), data, headers={"HX-Request": "true"})
    assert "has the same host and port" not in page.text


def test_after_a_test_the_page_says_the_same_of_the_server_as_the_test(admin, docked, shop_all):
    url, part = reverse("server_test", args=[docked.pk]), {"HX-Request": "true"}
    last = admin.post(url, {"stage": "rights"}, headers=part)
    assert '"stage": "doors"' in last.text
    page = admin.post(url, {"stage": "doors"}, headers=part)
    assert [door.state for door in page.context["doors"]] == ["ok", "ok", "ok"]
    assert page.context["state"] == "available"


def test_a_docked_server_with_nothing_staged_has_begun_and_offers_its_switches(
    admin, shop_all, bonus
):
    new = BonusServer(name="БС 9", host="localhost", **database_fields(bonus))
    page = admin.post(reverse("server_add"), fields(new), follow=True)
    docked = BonusServer.objects.get()
    assert page.redirect_chain == [(docked.get_absolute_url(), 302)]
    assert "Not begun yet" not in page.text
    assert "Switch the tasks on" in page.text


@pytest.fixture
def new():
    """A server that was just docked, and where nothing has to be said."""
    made = server()
    for task in made.tasks.select_related("server"):
        AuditEntry.record(Actor("olga"), AuditEntry.Action.POSITION, task, new={"answer": "x"})
    return made


def switch_on(client, page):
    """Presses the button on the page of a server that was just docked."""
    tasks = re.findall(r'name="task"\s+value="(transfer-[0-9:]+)"', page.text)
    data = {"action": "on", "confirmed": "1", "task": tasks}
    return tasks, client.post(reverse("scheduler_bulk"), data)


@pytest.mark.usefixtures("nothing_asked")
def test_an_operator_switches_the_tasks_of_a_new_server_on_by_one_press(client, new, log_in):
    log_in("operator", "ivan")
    tasks, _answer = switch_on(client, client.get(new.get_absolute_url()))
    assert len(tasks) == len(KINDS)
    assert new.tasks.filter(enabled=True, changed_by="ivan").count() == len(KINDS)
    assert AuditEntry.objects.filter(action="switch", who="ivan").count() == len(KINDS)
    page = client.get(new.get_absolute_url())
    assert "Switch the tasks on" not in page.text
    assert "The first run begins" in page.text


@pytest.mark.usefixtures("nothing_asked")
def test_a_viewer_does_not_switch_the_tasks_of_a_new_server_on(client, new, log_in):
    log_in("viewer")
    page = client.get(new.get_absolute_url())
    assert "An operator switches the tasks on." in page.text
    tasks, answer = switch_on(client, page)
    assert tasks == []
    assert answer.status_code == 403
    assert not new.tasks.filter(enabled=True).exists()


@pytest.mark.usefixtures("nothing_asked")
def test_the_press_on_a_task_that_somebody_has_switched_meanwhile_asks_again(client, new, olga):
    client.force_login(user("operator", "anna"))
    page = client.get(new.get_absolute_url())
    for on in (True, False):
        new.tasks.first().switch(on, olga)
    _tasks, answer = switch_on(client, page)
    assert answer.status_code == 409
    assert new.tasks.filter(enabled=True).count() == len(KINDS) - 1


@pytest.mark.usefixtures("nothing_asked")
@pytest.mark.parametrize(
    ("offered", "button"), [(1, "Switch the task on"), (2, "Switch the tasks on")]
)
def test_a_task_that_was_switched_off_on_purpose_is_not_offered(
    client, new, ivan, log_in, offered, button
):
    for task in new.tasks.all()[offered:]:
        for on in (True, False):
            task.switch(on, ivan)
    log_in("operator", "anna")
    page = client.get(new.get_absolute_url())
    assert button in page.text
    tasks, _answer = switch_on(client, page)
    assert len(tasks) == offered


@pytest.mark.usefixtures("nothing_asked")
def test_the_compact_table_says_that_the_database_does_not_answer(admin):
    *_fine, ill = (server(f"Server {number}") for number in range(MANY))
    now = timezone.now()
    BonusServer.objects.update(state="available", checked_at=now)
    TransferTask.objects.update(enabled=True)
    refused = Unreachable(UNREACHABLE, party=database_of(ill.name), reason="refused")
    backlog.store({task.pk: Backlog(error=refused, asked_at=now) for task in ill.tasks.all()})
    page = admin.get(reverse("servers"))
    assert page.context["many"].rows[0].record.server == ill
    shown = " ".join(strip_tags(page.text).split())
    assert shown.count("The database of Server 7 does not answer. Since ") == 1
    assert shown.count("Not available") == 1


def test_the_list_says_how_many_of_its_tasks_are_on(admin, olga):
    made = server("Server 9")
    made.tasks.get(kind="cards").switch(True, olga)
    text = admin.get(reverse("servers"), {"part": "1"}).text
    assert f"Tasks switched on: 1 of {len(KINDS)}" in text
