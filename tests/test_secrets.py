"""After a full run, no secret stands where anybody reads: logs, pages, files, mails, databases."""

import io
import json
import logging
import re
import sys
import zipfile
from collections import Counter
from collections.abc import Iterator
from typing import Any
from urllib.parse import urljoin, urlsplit

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client
from django.urls import reverse

from tests.chaos.pages import Page
from tests.databases import connected, query, run, stage
from tests.pages.look import send_again
from tests.reference_server import TOKEN
from tests.uploads import workbook
from transfer.engine.kinds import KINDS
from transfer.logs import About, Json, Text
from transfer.models import (
    AccountJob,
    BonusServer,
    CashRegister,
    IssuedSecret,
    Notice,
    Recipient,
    RejectedRow,
    Upload,
    User,
)
from transfer.models.alerts import Topic
from transfer.models.api_keys import Scope
from transfer.models.run_base import Trigger
from transfer.queue.worker import drain
from transfer.runs.execute import run_here
from transfer.tick import tick

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.timeout(600),
    pytest.mark.filterwarnings("ignore:'imghdr'"),  # of Apprise
]

OF_A_KIND = 3  # pages that differ only in what they are about
PIN = "9173502468"  # each PIN code begins so
MARK = "MARKED-s3cret-"  # and each other secret
# Where they have to stand: the rows that are moved, which the bonus server reads.
LEGITIMATE = {("shop All", "accountpincodeTemp", "pincode"), ("bonus server", "pincode", "pincode")}


class Heard:
    """All texts that a stranger could read, by their place."""

    def __init__(self) -> None:
        self.texts: list[tuple[str, str]] = []

    def hear(self, where: str, text: str) -> None:
        self.texts.append((where, text))

    def holding(self, secrets: set[str]) -> set[str]:
        return {
            f"{where}: {secret} in …{text[max(0, text.index(secret) - 60) :][:160]}…"
            for where, text in self.texts
            for secret in secrets
            if secret in text
        }


class Reader(Client):
    """Collects every answer of a page."""

    heard: Heard

    def request(self, **asked: Any) -> Any:
        answer = super().request(**asked)
        content = b"".join(answer.streaming_content) if answer.streaming else answer.content
        where = f"{asked['REQUEST_METHOD']} {asked['PATH_INFO']}"
        self.heard.hear(where, f"{dict(answer.headers)}\n{readable(content)}")
        answer.heard = readable(content)
        return answer


def readable(content: bytes) -> str:
    """The text of a page, a CSV file, or a workbook."""
    if not content.startswith(b"PK\x03\x04"):
        return content.decode("utf-8", "replace")
    with zipfile.ZipFile(io.BytesIO(content)) as book:
        return "\n".join(book.read(name).decode("utf-8", "replace") for name in book.namelist())


class Listening(logging.Handler):
    """Collects all log lines, as text and as JSON."""

    def __init__(self, heard: Heard) -> None:
        super().__init__()
        self.heard = heard
        self.addFilter(About())

    def emit(self, record: logging.LogRecord) -> None:
        for formatter in (Text(), Json()):
            self.heard.hear("log", formatter.format(record))


@pytest.fixture
def heard() -> Iterator[Heard]:
    heard = Heard()
    handler = Listening(heard)
    loggers = [logging.getLogger(name) for name in ("transfer", "django.request")]
    for logger in loggers:
        logger.addHandler(handler)
    yield heard
    for logger in loggers:
        logger.removeHandler(handler)


@pytest.fixture
def boss(heard, settings) -> Reader:
    settings.METRICS_TOKEN = f"{MARK}metrics"
    User.objects.create_superuser("boss", password=f"{MARK}of-boss")
    boss = Reader(raise_request_exception=False)
    boss.heard = heard
    boss.cookies["django_language"] = "en"
    return boss


@pytest.fixture
def command(heard, monkeypatch):
    """Runs `manage.py …` as cron would: cron mails all output."""

    def command(name: str, *arguments: str, stdin: str = "") -> None:
        written = io.StringIO()
        monkeypatch.setattr(sys, "stdin", io.StringIO(stdin))
        try:
            call_command(name, *arguments, stdout=written, stderr=written)
        except (CommandError, SystemExit) as error:
            written.write(str(error))
        heard.hear(f"manage.py {name}", written.getvalue())

    return command


@pytest.fixture
def away(heard, forking, environment):
    """Runs `manage.py …` where a database does not answer; its URL has a marked password."""

    def away(name: str, **urls: str) -> None:
        ended = forking.run(name, env={**environment, "LOG_FORMAT": "json", **urls})
        assert ended.returncode
        heard.hear(f"manage.py {name}", ended.stdout + ended.stderr)

    return away


@pytest.mark.long
def test_no_secret_stands_where_anybody_reads(
    heard,
    boss,
    command,
    away,
    docked,
    six,
    shop_all,
    own_database,
    bonus_of_reference,
    inbox,
    listener,
    telegram,
    tmp_path,
):
    docked.db_password = f"{MARK}of-database"
    docked.save()
    issued = guess_and_log_in(boss)
    dock_and_test(boss, command, docked, bonus_of_reference)
    load_files(boss, command, tmp_path)
    move(boss, command, docked, shop_all, bonus_of_reference)
    issued |= make_accounts(boss, docked)
    issued |= call_the_api(boss)
    tell(boss, docked, inbox, listener, telegram)
    look_after(command, away, boss)
    break_down(boss)
    read_everything(boss)
    for mail in inbox.mails:
        heard.hear("mail", f"{mail} {mail.get_payload(decode=True).decode()}")
    for _, body in listener.posts:
        heard.hear("webhook", body.decode())
    secrets = {PIN, MARK, TOKEN, *issued}
    databases = {"own": own_database, "shop All": shop_all, "bonus server": bonus_of_reference}
    found = {
        (name, *place) for name, dsn in databases.items() for place in columns_with(dsn, secrets)
    }
    assert (heard.holding(secrets), found) == (set(), LEGITIMATE)


def guess_and_log_in(boss: Reader) -> set[str]:
    """Wrong passwords, new users, changed and generated passwords, which are shown once."""
    log_in = reverse("account_login")
    boss.post(log_in, {"username": f"{MARK}typed-as-name", "password": "x"})
    boss.heard.texts.pop()  # the form gives back what was typed into the field of the name
    for _ in range(11):
        boss.post(log_in, {"username": "olga", "password": f"{MARK}wrong"})
    boss.post(log_in, {"username": "boss", "password": f"{MARK}of-boss"})
    new = {"username": "olga", "role": "operator"}
    boss.post(reverse("user_add"), {**new, "password": f"{MARK}a", "again": f"{MARK}b"})
    boss.post(reverse("user_add"), {**new, "password": f"{MARK}a", "again": f"{MARK}a"})
    generated = boss.post(reverse("user_add"), {"username": "ivan", "role": "viewer"})
    boss.heard.texts.pop()  # it is shown this once
    old = {"old_password": f"{MARK}of-boss", "new_password1": f"{MARK}n", "new_password2": "other"}
    boss.post(reverse("change_password"), old)
    boss.post(reverse("change_password"), old | {"new_password2": f"{MARK}n"})
    return {generated.context["generated"]}


def dock_and_test(boss: Reader, command: Any, docked: BonusServer, bonus: str) -> None:
    """Forms with mistakes, tests that pass and fail, servers docked by hand and by command."""
    form = {
        "name": "Server 9",
        "host": "127.0.0.1",
        "admin_port": "1",
        "work_port": "1",
        "api_token": f"{MARK}token",
        "db_host": "127.0.0.1",
        "db_port": "1",
        "db_name": "x",
        "db_user": "u",
        "db_password": f"{MARK}db",
        "db_sslmode": "prefer",
    }
    boss.post(reverse("server_add_test"), form)
    boss.post(reverse("server_add"), form | {"admin_port": "99999999"})
    boss.post(reverse("server_add"), form)
    other = BonusServer.objects.get(name="Server 9")
    boss.post(reverse("server_edit", args=[other.pk]), form | {"host": "::1", "api_token": ""})
    boss.post(reverse("server_edit_test", args=[other.pk]), form | {"db_password": f"{MARK}other"})
    for one in (docked, other):
        boss.post(reverse("server_test", args=[one.pk]))
    dock = ("server", "add", "--host", "127.0.0.1", "--database-url", "-", "--name")
    command(*dock, "Server 10", stdin=f"postgresql://u:{MARK}stdin@127.0.0.1:1/x\n")
    command(*dock, "Server 10", stdin=f"postgresql://u:{MARK}stdin@127.0.0.1:1/x\n")
    command(*dock, "Server 11", stdin=f"postgresql://u:{MARK}stdin@:::/x?fuzz={MARK}\n")


def load_files(boss: Reader, command: Any, folder: Any) -> None:
    """PIN codes as what they are, as something else, without headings, and by hand."""
    lines = [
        ["4100", f"{PIN}01"],
        ["", f"{PIN}02"],
        ["4300", f"{PIN}03" * 11],
        ["4400", f"{PIN}04", "x"],
    ]
    plain = "\n".join(";".join(line) for line in lines)
    files = {
        "named.csv": f"account;pincode\n{plain}".encode(),
        "other.csv": f"Счёт;Пин-код\n{plain}".encode(),
        "unknown.csv": f"Клиент;Код\n{plain}".encode(),
        "bare.csv": plain.encode(),
        "book.xlsx": workbook([["Счёт", "ПИН"], *lines]),
        "cut.csv": f'account;pincode\n4100;"{PIN}05\n'.encode(),
    }
    for name, content in files.items():
        for kind in ["", *KINDS]:
            file = io.BytesIO(content)
            file.name = name
            boss.post(reverse("upload_file"), {"kind": kind, "file": file})
    file = io.BytesIO(files["bare.csv"])
    file.name = "bare.csv"
    boss.post(reverse("register_import"), {"file": file})
    for upload in Upload.objects.all():
        for part in ("upload", "upload_again"):
            boss.get(reverse(part, args=[upload.pk]))
        if upload.kind != "pincodes" and upload.layout:
            boss.post(
                reverse("upload_reading", args=[upload.pk]), {"header": "1", "column_account": "0"}
            )
        boss.get(reverse("upload_bad_lines", args=[upload.pk, "csv"]))
        boss.get(reverse("upload_bad_lines", args=[upload.pk, "xlsx"]))
        end = "upload_confirm" if upload.kind == "pincodes" else "upload_discard"
        boss.post(reverse(end, args=[upload.pk]))
        boss.get(reverse("upload", args=[upload.pk]))
    assert Upload.objects.loaded().exists()
    boss.post(reverse("entry", args=["pincodes"]), {"account": "", "pincode": f"{PIN}06"})
    boss.post(reverse("entry", args=["pincodes"]), {"account": "4100", "pincode": f"{PIN}06"})
    boss.post(reverse("entry_confirm", args=[Upload.objects.latest("pk").pk]))
    for name in ("named.csv", "bare.csv", "other.csv"):
        (folder / name).write_bytes(files[name])
        for kind in KINDS:
            command("load_staging", kind, str(folder / name))
            command("load_staging", kind, str(folder / name), "--good-only", "--again")


def move(boss: Reader, command: Any, server: BonusServer, shop_all: str, bonus: str) -> None:
    """Good rows and rejects; rows that the vendor's table refuses; runs that fail."""
    with connected(bonus) as vendor:
        run(vendor, "alter table pincode add constraint no_07 check (pincode not like '%07')")
        stage(shop_all, "pincodes", [("", f"{PIN}08"), ("4700", f"{PIN}07"), ("4900", f"{PIN}09")])
        run_here(server.tasks.get(kind="pincodes"), Trigger.MANUAL)
        run(
            vendor,
            "create function refuse() returns trigger language plpgsql as "
            "$$ begin raise exception 'no: %', new using errcode = 'XX000'; end $$",
        )
        run(
            vendor,
            "create trigger refuse before insert on pincode for each row execute function refuse()",
        )
        stage(shop_all, "pincodes", [("4800", f"{PIN}10")])
        run_here(server.tasks.get(kind="pincodes"), Trigger.MANUAL)
        command("transfer", "pincodes", "--server", str(server.pk), "--verbosity", "3")
        command("transfer", "all", "--dry-run", "--json")
        run(vendor, "drop trigger refuse on pincode")
        run(vendor, "drop function refuse")
        assert RejectedRow.objects.filter(kind="pincodes").count() > 1
        for reject in RejectedRow.objects.all():
            boss.get(reverse("reject", args=[reject.pk]))
            fixed = {"account": "4999", "pincode": f"{PIN}11"}
            send_again(boss, reverse("reject_resend", args=[reject.pk]), fixed | {"pincode": ""})
            send_again(boss, reverse("reject_resend", args=[reject.pk]), fixed)
        command("transfer", "all")
        for name in ("rejects_csv", "rejects_xlsx", "history_csv", "history_xlsx"):
            boss.get(reverse(name))
        run(vendor, "alter table pincode drop constraint no_07")


def make_accounts(boss: Reader, server: BonusServer) -> set[str]:
    """Accounts whose credentials are shown once and downloaded once; others that stay stored."""

    every = list(CashRegister.objects.values_list("pk", flat=True))

    def order(action: str) -> AccountJob:
        form = {"action": action, "register": every, "confirmed": "1", "reason": "stolen"}
        boss.post(reverse("server_accounts", args=[server.pk]), form)
        drain(lambda: 0)
        return AccountJob.objects.filter(action=action).latest("pk")

    job = order("create")
    issued = set(IssuedSecret.objects.values_list("secret", flat=True))
    assert issued
    where = [server.pk, job.pk]
    for name in ("credentials_show", "credentials_download"):
        boss.post(reverse(name, args=where))
        _, shown = boss.heard.texts.pop()
        assert all(one in shown for one in issued)
        boss.post(reverse(name, args=where))
    order("renew")
    issued |= set(IssuedSecret.objects.values_list("secret", flat=True))
    order("block")
    return issued


def call_the_api(boss: Reader) -> set[str]:
    """A key that is shown once; rows by JSON and CSV, good and bad; everything that can be read."""
    form = {"name": "1C", "scopes": Scope.values, "limit": "6000"}
    secret = boss.post(reverse("key_add"), form).context["secret"]
    boss.heard.texts.pop()  # it is shown this once
    programs = []
    for key in (secret, f"{MARK}guessed", f"{secret}{MARK}"):
        program = Reader(raise_request_exception=False, headers={"Authorization": f"Bearer {key}"})
        program.heard = boss.heard
        programs.append(program)
    bodies = [
        json.dumps([{"account": "4100", "pincode": f"{PIN}21"}]),
        json.dumps([{"account": "", "pincode": f"{PIN}22"}]),
        json.dumps([{"account": "4300", "pincode": [f"{PIN}23"]}]),
        f'[{{"account": "4300", "pincode": "{PIN}24"',
        f"account;pincode\n;{PIN}25\n4100;{PIN}26 {PIN}\n",
        f"4100;{PIN}27\n4200;{PIN}28\n",
        json.dumps([{"account": "4100", f"{PIN}29": "pincode"}]),
    ]
    for program in programs:
        for number, body in enumerate(bodies):
            for kind in KINDS:
                type_ = "application/json" if body[0] == "[" else "text/csv"
                headers = {"Idempotency-Key": f"{kind}-of-{number}"}
                program.post(f"/api/v1/rows/{kind}", body, type_, headers=headers)
        for path in (
            "",
            "tasks",
            "servers",
            "registers",
            "problems",
            "reconciliation",
            "runs",
            "loads",
            "rows/pincodes/1",
            "rows/pincodes/rejected",
            "accounts/4100",
            "accounts/4999",
            "openapi.json",
        ):
            program.get(f"/api/v1/{path}")
    for upload in Upload.objects.filter(input_method="api"):
        answer = programs[0].get(f"/api/v1/loads/{upload.token}")
        assert answer.status_code == 200
    assert Upload.objects.filter(input_method="api", state="loaded").exists()
    return {secret}


def tell(boss: Reader, server: BonusServer, inbox: Any, listener: Any, telegram: Any) -> None:
    """Each channel, tried, told and failing; the key of the webhook is shown once."""
    often = {"place": 1, "reminders": "hourly", "letter": "none"}
    form = {"language": "en", "topics": Topic.values, "enabled": "on", **often}
    hook = f"http://127.0.0.1:{listener.server_port}/{MARK}hook"
    boss.post(
        reverse("recipient_add"),
        form | {"name": "olga", "channel": "mail", "mail_address": "o@x.example"},
    )
    of_hook = {"name": "hook", "channel": "webhook", "webhook_address": hook}
    boss.post(reverse("recipient_add"), form | of_hook)
    key = Recipient.objects.get(name="hook").signing_key
    assert key in boss.heard.texts.pop()[1]
    dead = f"json://127.0.0.1:1/{MARK}messenger"
    of_dead = {"name": "dead", "channel": "apprise", "apprise_address": dead}
    boss.post(reverse("recipient_add"), form | of_dead)
    bot = {"bot_token": f"123456789:{MARK}of-a-bot", "telegram_chat": "-1001234"}
    boss.post(reverse("recipient_add"), form | {"name": "bot", "channel": "telegram", **bot})
    bot = {"max_token": f"{MARK}of-a-bot-of-max", "max_chat": "-1"}
    boss.post(reverse("recipient_add"), form | {"name": "max", "channel": "max", **bot})
    of_bad = {"name": "bad", "channel": "webhook", "webhook_address": MARK}
    boss.post(reverse("recipient_add"), form | of_bad)
    boss.heard.texts.pop()  # the form gives back an address that can't be right
    for one in Recipient.objects.all():
        boss.post(reverse("recipient_test", args=[one.pk]))
        boss.get(reverse("recipient", args=[one.pk]))
    listener.answer = 500
    tick("cron")
    drain(lambda: 0)
    assert Notice.objects.exclude(incident=None).exists()
    assert inbox.mails
    assert listener.posts
    assert telegram.posts


def look_after(command: Any, away: Any, boss: Reader) -> None:
    """What a machine and an administrator ask."""
    for name in ("doctor", "reconcile", "run_due_tasks", "purge_history"):
        command(name)
    for words in (("server", "list"), ("server", "test", "Server 10"), ("task", "list")):
        command(*words)
    away("doctor", DATABASE_URL=f"postgresql://u:{MARK}url@127.0.0.1:1/x")
    away("doctor", SHOP_ALL_DATABASE_URL=f"postgresql://u:{MARK}url@127.0.0.1:1/x")
    away("check", DATABASE_URL=f"host {MARK}url")
    command("purge_staging")
    command("rotate_secrets", "--nonsense")
    boss.get(reverse("metrics"), headers={"Authorization": f"Bearer {MARK}metrics"})
    boss.get(reverse("metrics"), headers={"Authorization": f"Bearer {MARK}guessed"})
    for name in ("health_live", "health_database", "health_ready"):
        boss.get(reverse(name))


def break_down(boss: Reader) -> None:
    """A page that fails with secrets in its form: its log is what is mailed to an administrator."""
    with connection.cursor() as cursor:
        cursor.execute("alter table transfer_auditentry rename to away")
    try:
        new = {"username": "last", "role": "viewer", "password": f"{MARK}zz", "again": f"{MARK}zz"}
        assert boss.post(reverse("user_add"), new).status_code == 500
    finally:
        with connection.cursor() as cursor:
            cursor.execute("alter table away rename to transfer_auditentry")


def read_everything(boss: Reader) -> None:
    """Every page that can be reached by links; a page of which there are many, about some things.

    The pages of all files and of all rejected rows were read before.
    """
    waiting, seen, alike = ["/", "/admin/"], set(), Counter[str]()
    while waiting:
        path = waiting.pop(0)
        seen.add(path)
        kind = re.sub("[0-9]+", "1", path)
        alike[kind] += 1
        if alike[kind] > OF_A_KIND:
            continue
        answer = boss.get(path)
        if not answer.headers.get("Content-Type", "").startswith("text/html"):
            continue
        for link in Page.read(path, answer.heard.encode()).links:
            target = urlsplit(urljoin(path, link))
            if not target.netloc and target.path not in seen and target.path not in waiting:
                waiting.append(target.path)
    assert len(alike) > 60


def columns_with(dsn: str, secrets: set[str]) -> set[tuple[str, str]]:
    """Table and column of each value that contains a secret."""
    found = set()
    tables = query(
        dsn,
        "select c.oid::regclass::text, c.relname from pg_class as c "
        "join pg_namespace as n on n.oid = c.relnamespace "
        "where relkind in ('r', 'm', 'p') and nspname not in ('pg_catalog', 'information_schema')",
    )
    for table, name in tables:
        for (row,) in query(dsn, f"select to_jsonb(t) from {table} as t"):
            for column, value in row.items():
                if any(secret in json.dumps(value, ensure_ascii=False) for secret in secrets):
                    found.add((name, column))
    return found
