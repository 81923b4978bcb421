"""A walk over every page there is: accessible, translated, fitting, and never left the server."""

import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from django.core.cache import cache
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from playwright.sync_api import Page, expect

from tests.browser.conftest import ALL_RULES, AXE, DESKTOP, PHONE, TABLET, make_user, use_language
from tests.databases import ROOT, stage
from tests.http_api.conftest import a_key
from tests.pages.look import own_patterns
from tests.pages.things import GONE_BACK, token_of
from tests.records import a_notice, a_problem, a_run
from tests.signing import a_statement
from transfer.alerts.watch import watch
from transfer.causes.messages import MESSAGE_REFUSED
from transfer.engine.kinds import KINDS
from transfer.errors import TransferError
from transfer.loading import undo_load, upload_job
from transfer.loading.receive import receive
from transfer.models import (
    Actor,
    Approval,
    Bulletin,
    Heartbeat,
    Incident,
    MaintenanceRun,
    MaintenanceTask,
    PlannedWork,
    Recipient,
    RejectedRow,
    Settings,
    TransferTask,
    Upload,
    User,
)
from transfer.models.alerts import Topic
from transfer.models.failing import failure
from transfer.models.run_base import State, Trigger
from transfer.pages.links import key_of
from transfer.parties import Party, PartyKind
from transfer.problems import taking
from transfer.runs.execute import run_here
from transfer.servers.checks import check_connections

pytestmark = pytest.mark.django_db(transaction=True)
IVAN = Actor("ivan", address="10.0.0.7")
PIN = "пин-7351"  # digits alone would be found in a page's random keys

# These are not pages one walks to: files, parts of a page, what is only posted to.
NO_PAGES = re.compile(
    r".*_(csv|xlsx|json|live|row|again|tasks|reconciliation|test|show|download|template|bad_lines|export)"
    r"|task_(switch|undo|explain|run|cancel|resume)|scheduler_bulk|reject_(resend|discard)"
    r"|upload_(file|arrival|run|reading|confirm|discard|rest)|server_(accounts|take_back|own_name)|register_mothball"
    r"|problem_(take|give_back|mute|unmute)|problems_take|restored_lost|bulletin_dismiss|user_(close|reopen)|users_unlock"
    # These have a walk of their own; the description of the API is in English.
    r"|openid_connect_\w+|account_reauthenticate|mfa_(?!index)\w+|help_operations"
    r"|approval_(approve|refuse)|help(_picture)?|logout|set_\w+|health_\w+|metrics|api"
)

# What stands on the pages in any language: names, codes, and what one types on a server.
SAME_IN_ALL = re.compile(
    r"Data Transfer|[Мм]агазин(а|е)? All|RU|EN|Русский|English|cron|CSV|XLSX?|ODS|UTF-(8|16)"
    r"|postgres|SCRAM|Apprise|tgram|systemd|django-allauth|enum|PIN|hi/lo|Docker|podman"
    r"|OIDC|Keycloak|ADFS|FreeIPA|Яндекс ID|Google Authenticator|Aegis"
    r"|Windows-1251|CP1251|HTTPS?|API|OpenAPI|JSON|UUID|ASCII|TOML|qwerty123|PEM|TCP|IP|PostgreSQL|SQL|Debian|Ubuntu|Excel|[A-Z]\w+/\w+|olga|ivan|anna|shop[:,]|file\.csv|\w+Temp"
    r"|localhost|EMAIL_HOST|«(prefer|verify-full)»"
    r"|Telegram|MAX|Mattermost|Slack|@BotFather|/newbot|/start|chat_id|«Incoming Webhooks»"
    r"|«From scratch»|(https://)?([\w-]+\.)+(org|ru|com)[\w/.…]*|https://…(/hooks/…)?|/hooks/|:AAE"
    r"|curl -H|«Authorization: »|Enter|Tab|Ctrl\+D|POST|matrix://"
    r"|\((account|amount|comment|card|status|validfrom|validto)\)"
    r"|Ed25519|SHA-256|\b[0-9a-f]{16,64}\b"
)


@pytest.fixture(autouse=True)
def nothing_asked() -> Iterator[None]:
    cache.clear()
    yield
    cache.clear()


@pytest.fixture
def house(
    shop_all: str,
    docked: Any,
    six: list,
    ordered: Callable,
    check: Callable,
    load: Callable,
) -> SimpleNamespace:
    """An installation in which something of everything has happened."""
    Settings.load().change(IVAN, show_transfer_tasks=True)
    Heartbeat.beat("shop: cron")
    balances, cards = (docked.tasks.get(kind=kind) for kind in ("balances", "cards"))
    cards.switch(True, IVAN, reason="2026")
    cards.pause(timezone.now() + timedelta(hours=1), IVAN, reason="2027")
    job = ordered("create", six[:4])
    ordered("block", six[:1])
    check_connections()
    stage(shop_all, "balances", [("4100000011", 250), ("4100000011", 0), (None, 30)])
    run_here(balances, Trigger.MANUAL)
    stage(shop_all, "pincodes", [("4100000011", PIN)])
    stage(shop_all, "cards", [("7780000000011", "4100000011", 1)])
    error = {"party": f"database:{docked.name}"}
    TransferTask.objects.filter(pk=cards.pk).update(failures=2)
    maintenance = MaintenanceTask.objects.get(kind="purge_history")
    maintenance_run = MaintenanceRun.of(maintenance, Trigger.SCHEDULE)
    maintenance_run.save()
    return SimpleNamespace(
        server=docked,
        task=balances,
        register=six[0],
        job=job,
        reject=RejectedRow.objects.earliest("pk"),
        done=docked.runs.get(kind="balances"),
        running=a_run(docked, "pincodes", state=State.RUNNING, expected=100, applied=40),
        failed=a_run(docked, "cards", state=State.FAILED, error_code="unreachable",
                     error_params=error),
        maintenance_run=maintenance_run,
        preview=check("balances", "Счёт;Сумма\n4100;1,5\n;3\n4100;ноль\n".encode("cp1251")),
        columns=check("cards", b"7780000000011;4100000011\n"),
        unreadable=check("balances", b"MZ\x90\x00\x03"),
        by_hand=by_hand(),
        approval=above_a_limit(),
        statement=a_statement(),
        loaded=load("cards", b"card;account;status\n7780000000012;4100000012;1\n"),
        undo=taken_back(load("balances", b"account;amount\n4100000012;5\n")),
        user=make_user("ivan", "viewer"),
        recipient=recipient_in_trouble(),
        problem=a_problem(None, key="shop:2"),
        looked_after=looked_after(a_problem(None, key="shop:3")),
        notice=a_notice(Recipient.objects.create(name="ivan", channel="mail", address="i@x")),
        key=a_key(name="olga").key,
        bulletin=Bulletin.objects.create(code="server_restored", server=docked, params=GONE_BACK),
        work=PlannedWork.objects.create(begins_at=timezone.now(), reason="2028",
                                        ends_at=timezone.now() + timedelta(hours=1)),
    )  # fmt: skip


def looked_after(problem: Incident) -> Incident:
    """A problem that is taken, and muted."""
    taking.take(problem, IVAN, note="2029")
    taking.mute(problem, IVAN, until=None, reason="2030")
    return problem


def recipient_in_trouble() -> Recipient:
    """Recipients, and one whose messages do not arrive."""
    refused = TransferError(MESSAGE_REFUSED, party=Party(PartyKind.MAIL, "localhost"), what="…")
    recipient = Recipient.objects.create(
        name="olga", channel="mail", address="olga@shop.example", topics=Topic.values,
        failing_since=timezone.now(), **failure(refused),
    )  # fmt: skip
    watch(timezone.now())
    return recipient


def taken_back(loaded: Upload) -> Upload:
    """The undo of a load."""
    ordered = undo_load.order(loaded, Actor("olga"))
    upload_job.go_on(ordered)
    return ordered


def by_hand() -> Upload:
    """A change that waits for its confirmation."""
    client = Client()
    client.force_login(make_user("anna", "operator"))
    url = reverse("entry", args=["balances"])
    client.post(url, {"account": "4100000011", "amount": "250"})
    return Upload.objects.get(input_method=Upload.InputMethod.HAND)


def above_a_limit() -> Approval:
    """A load that needs a second person, and one that did not."""
    Settings.load().change(IVAN, row_limit=100)
    anna = Actor.user_at(User.objects.get(username="anna"))
    for amount in (90, 250):
        upload = receive(KINDS["balances"], [b"account;amount\n4100000011;%d\n" % amount], anna)
        upload_job.go_on(upload)
        upload.confirm(anna)
        upload_job.go_on(upload)
    return Approval.objects.get()


def addresses(house: SimpleNamespace) -> dict[str, list[str]]:
    """Name of the URL → where it is walked to."""

    def at(name: str, *arguments: Any, query: str = "") -> str:
        return f"{reverse(name, args=arguments)}{query}"

    key, server, shop = key_of(house.task), house.server.pk, house.register.shop_id
    changed = f"?changed={key}&v={house.task.version}"
    return {
        "overview": [at("overview")],
        "problem": [at("problem", one.pk) for one in (house.problem, house.looked_after)],
        "take": [at("take", token_of(house.notice))],
        "restored": [at("restored")],
        "rows_missing": [at("rows_missing")],
        "rows_forget": [at("rows_forget", "cards")],  # none are missing, which it says
        "bulletin": [at("bulletin", house.bulletin.pk)],
        "scheduler": [at("scheduler"), at("scheduler", query=changed),
                      at("scheduler", query="?state=paused")],
        "task": [at("task", key)],
        "task_schedule": [at("task_schedule", key)],
        "task_pause": [at("task_pause", key)],
        "history": [at("history"), at("history", query="?state=skipped")],
        "history_grid": [at("history_grid"), at("history_grid", query="?hours=24&open=all")],
        "history_maintenance": [at("history_maintenance")],
        "run": [at("run", run.pk) for run in (house.done, house.running, house.failed)],
        "run_cancel": [at("run_cancel", house.running.pk)],
        "maintenance_run": [at("maintenance_run", house.maintenance_run.pk)],
        "maintenance_run_cancel": [at("maintenance_run_cancel", house.maintenance_run.pk)],
        "rejects": [at("rejects"), at("rejects", query="?state=discarded")],
        "reject": [at("reject", house.reject.pk)],
        "rejects_resend": [at("rejects_resend", query="?kind=balances")],
        "rejects_discard": [at("rejects_discard")],
        "rejects_grid": [at("rejects_grid")],
        "changed": [at("changed")],
        "changed_decide": [at("changed_decide", query="?kind=pincodes&decision=leave")],
        "statements": [at("statements")],
        "statement_make": [at("statement_make")],
        "statement": [at("statement", house.statement.number)],
        "approvals": [at("approvals")],
        "approval": [at("approval", house.approval.pk)],
        "by_hand": [at("by_hand"), at("by_hand", query="?near=on")],
        "loads": [at("loads")],
        "upload": [at("upload", one.pk) for one in
                   (house.preview, house.columns, house.unreadable, house.loaded, house.undo,
                    house.undo.undoes)],
        "upload_undo": [at("upload_undo", house.loaded.pk)],
        "entry": [at("entry", kind) for kind in KINDS],
        "entry_confirm": [at("entry_confirm", house.by_hand.pk)],
        "trace": [at("trace"), at("trace", query="?q=0011"),
                  at("trace", query="?q=4100000011&in=account"),
                  at("trace", query="?q=7780000000011&in=card")],
        "servers": [at("servers")],
        "server_add": [at("server_add")],
        "server": [at("server", server)],
        "server_edit": [at("server_edit", server)],
        "server_pause": [at("server_pause", server)],
        "server_leave_behind": [at("server_leave_behind", server)],
        "server_beginning": [at("server_beginning", server)],
        "server_remove": [at("server_remove", server)],
        "account_job": [at("account_job", server, house.job.pk)],
        "account_change": [at("account_change", house.register.accounts.first().pk, action)
                           for action in ("unblock", "delete")],
        "registers": [at("registers"), at("registers", query="?state=problem")],
        "register": [at("register", house.register.pk)],
        "register_add": [at("register_add")],
        "register_edit": [at("register_edit", house.register.pk)],
        "register_remove": [at("register_remove", house.register.pk)],
        "register_import": [at("register_import")],
        "shops": [at("shops")],
        "shop_add": [at("shop_add")],
        "shop_edit": [at("shop_edit", shop)],
        "shop_remove": [at("shop_remove", shop)],
        "notifications": [at("notifications")],
        "recipient_add": [at("recipient_add")],
        "recipient": [at("recipient", house.recipient.pk)],
        "recipient_remove": [at("recipient_remove", house.recipient.pk)],
        "keys": [at("keys")],
        "key_add": [at("key_add")],
        "key_revoke": [at("key_revoke", house.key.pk)],
        "work_add": [at("work_add")],
        "work_end": [at("work_end", house.work.pk)],
        "settings": [at("settings")],
        "audit": [at("audit")],
        "users": [at("users")],
        "user_add": [at("user_add")],
        "user": [at("user", house.user.pk)],
        "user_password": [at("user_password", house.user.pk)],
        "account": [at("account")],
        "help_paper": [f"/help/ru/{path.name}" for path in (ROOT / "docs/ru").glob("*.md")],
        "change_password": [at("change_password")],
        "mfa_index": [at("mfa_index")],
        "user_factors": [at("user_factors", house.user.pk)],
    }  # fmt: skip


def walk(page: Page, house: SimpleNamespace, papers: int | None) -> Iterator[str]:
    """Opens every page, one after the other, and waits for what it fetches by itself; so many of
    the papers, or all.
    """
    for name, urls in addresses(house).items():
        for url in urls[:papers] if name == "help_paper" else urls:
            response = page.goto(url)
            assert response is not None
            assert response.status == 200, url
            expect(page.locator("[data-poll='0.2']")).to_have_count(0)
            expect(page.locator(".htmx-request")).to_have_count(0)
            yield url


def assert_every_page_is_walked(house: SimpleNamespace) -> None:
    walked = addresses(house).keys() | {"account_login"}
    names = {pattern.name for pattern in own_patterns()}
    assert names - walked == {name for name in names if NO_PAGES.fullmatch(name)}


def texts(page: Page) -> set[str]:
    """The visible text, texts for screen readers, and titles; without code and entered values."""
    return set(
        page.evaluate(
            """() => {
            const found = [];
            const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
            while (walker.nextNode()) {
                if (!walker.currentNode.parentElement.closest("script, style, code, .mono, option"))
                    found.push(walker.currentNode.data);
            }
            for (const one of document.querySelectorAll("[title], [aria-label], [placeholder]"))
                for (const name of ["title", "aria-label", "placeholder"])
                    found.push(one.getAttribute(name) || "");
            return found.map(text => text.trim().replace(/\\s+/g, " "));
        }"""
        )
    )


def wrong_words(page: Page, language: str) -> list[str]:
    """Texts in which markup is spilt; in Russian, also those that nobody has translated."""
    return [
        text
        for text in texts(page)
        if re.search(r"""="|</|\{[{%]|%\(|&\w+;""", text)
        or (language == "ru" and re.search("[A-Za-z]{2}", SAME_IN_ALL.sub("", text)))
    ]


def what_has_no_name(page: Page) -> list[str]:
    """Ids that occur twice, and what is pressed, is only an icon, and has no tooltip."""
    return page.evaluate(
        """() => {
            const ids = [...document.querySelectorAll("[id]")].map(one => one.id);
            const seen = one => {
                const copy = one.cloneNode(true);
                copy.querySelectorAll(".visually-hidden").forEach(words => words.remove());
                return copy.textContent.trim();
            };
            const pressed = [...document.querySelectorAll("a[href], button, summary")].filter(one =>
                one.checkVisibility() && !seen(one)
                && !one.closest("[title]") && !one.querySelector("[title], title"));
            return [
                ...ids.filter((id, place) => ids.indexOf(id) < place),
                ...pressed.map(one => one.outerHTML.slice(0, 160)),
            ];
        }"""
    )


def too_wide_at(page: Page) -> list[int]:
    """The widths of windows that something is wider than: a desktop's, a tablet's, a phone's."""
    own, wrong = page.viewport_size, []
    for size in (DESKTOP, TABLET, PHONE):
        page.set_viewport_size(size)
        if page.evaluate("document.documentElement.scrollWidth > innerWidth"):
            wrong.append(size["width"])
    page.set_viewport_size(own)
    return wrong


def what_is_wrong_on_paper(page: Page) -> list[str]:
    """What can be pressed but isn't there to be filled in, and what does not fit an A4 page."""
    size = page.viewport_size
    page.emulate_media(media="print", color_scheme="light")
    page.set_viewport_size({"width": 794, "height": 1123})
    wrong = page.evaluate(
        """() => [
            ...[...document.querySelectorAll("button:not(.switch), .button, summary, .choose")]
                .filter(one => one.checkVisibility()).map(one => one.outerHTML.slice(0, 160)),
            ...(document.documentElement.scrollWidth > innerWidth ? ["too wide"] : []),
        ]"""
    )
    page.emulate_media(media="screen")
    page.set_viewport_size(size)
    return wrong


# The same elements on a phone in the dark: other colours, sizes and places.
RULES_OF_LOOKS = {
    "type": "rule",
    "values": [
        "color-contrast",
        "link-in-text-block",
        "scrollable-region-focusable",
        "target-size",
    ],
}


# Both walks find the papers in Russian. Each theme is looked at in one of the walks: what only the
# other shows consists of components, which are looked at in both themes and sizes.
@pytest.mark.parametrize(
    ("language", "viewport", "rules", "papers"),
    [
        pytest.param("ru", None, {"light": ALL_RULES}, 1, id="desktop"),
        pytest.param(
            "en", PHONE, {"dark": RULES_OF_LOOKS}, None, id="phone", marks=pytest.mark.long
        ),
    ],
)
def test_every_page_is_accessible_fits_prints_is_translated_and_holds_no_secret(
    open_page: Callable,
    log_in: Callable,
    check_accessible: Callable,
    house,
    language: str,
    viewport: dict[str, int] | None,
    rules: dict[str, Any],
    papers: int | None,
):
    assert_every_page_is_walked(house)
    page = open_page(**({"viewport": viewport, "has_touch": True} if viewport else {}))
    page.add_init_script(AXE)  # sent, and compiled, once for all pages
    log_in(page, "administrator")
    use_language(page, language)
    for number, url in enumerate(walk(page, house, papers)):
        html = page.content()
        assert PIN not in html, url
        assert house.server.api_token not in html, url
        assert wrong_words(page, language) == [], url
        assert what_has_no_name(page) == [], url
        assert too_wide_at(page) == [], url
        check_accessible(page, rules, menu=number == 0)
        if viewport is None:  # the width of paper does not depend on the window
            assert what_is_wrong_on_paper(page) == [], url
