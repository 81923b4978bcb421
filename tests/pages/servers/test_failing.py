"""What the pages say of a bonus server that fails, and that they come back at all."""

from collections.abc import Iterable
from typing import Any

import pytest
from django.urls import reverse

from tests import misbehaving
from tests.certificates import certificate
from tests.misbehaving import free_port
from tests.reference_server import TOKEN
from transfer.models import AuditEntry, CashRegister, RegisterAccount, Shop
from transfer.servers.checks import check_connections

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("in_english")]

LANGUAGES = ["en", "ru"]
SENTENCES = {
    "down": ("does not answer: nothing listens at", "никто не слушает порт"),
    "silent": ("did not answer in time.", "не отвечает вовремя."),
    "garbage": (
        "does not speak the bonus server&#x27;s protocol",
        "отвечает не бонусный сервер: протокол другой",
    ),
    "401": ("refuses the API token.", "не принимает токен API."),
    "409": ("has an account of this register already.", "уже есть учётная запись этой кассы."),
    "500": ("reports an error of its own (HTTP 500).", "сообщает о собственной ошибке (HTTP 500)."),
    "503": ("is overloaded or its database does not answer.", "перегружен"),
    "hangs up": ("the connection was lost.", "соединение оборвалось"),
    "certificate": ("is not signed by an authority that is trusted here", "Сертификат"),
}
HANDLERS = {
    "silent": misbehaving.is_silent,
    "garbage": misbehaving.speaks_garbage,
    "401": misbehaving.answers(401),
    "409": misbehaving.answers(409),
    "500": misbehaving.answers(500),
    "503": misbehaving.answers(503),
    "hangs up": misbehaving.hangs_up,
    "certificate": misbehaving.answers(200),
}


@pytest.fixture
def server(dock, bonus, shop_all):
    """Its database answers; the pages ask it, too."""
    server = dock(bonus, "Server 8")
    server.host, server.api_token = "127.0.0.1", TOKEN
    server.save()
    return server


@pytest.fixture
def failing(server, tmp_path):
    """Makes the server fail in a way; to be used as a context."""

    def failing(way: str):
        context = certificate(tmp_path)[1] if way == "certificate" else None
        server.api_tls = context is not None
        return misbehaving.server(HANDLERS[way], context)

    return failing


def some_long(ways: Iterable[str]) -> list[Any]:
    """The ways as parameters of a test: a silent server takes the whole time that it is given."""
    return [pytest.param(way, marks=pytest.mark.long) if way == "silent" else way for way in ways]


def sentence(way: str, language: str, seconds: int) -> str:
    return SENTENCES[way][language == "ru"].format(seconds)


@pytest.mark.parametrize("way", some_long(SENTENCES))
def test_a_check_says_it_on_the_servers_page_and_in_the_list(operator, server, failing, way):
    if way == "down":
        server.admin_port = free_port()
        server.save()
        check_connections()
    else:
        with failing(way) as server.admin_port:
            server.save()
            check_connections()
    for language in LANGUAGES:
        operator.cookies["django_language"] = language
        for url in (server.get_absolute_url(), reverse("servers")):
            assert sentence(way, language, 7) in operator.get(url).text, url


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("way", some_long([way for way in HANDLERS if way != "409"]))
def test_a_press_says_it_and_changes_nothing(operator, server, failing, language, way):
    register = CashRegister.objects.create(code="17", shop=Shop.objects.create(code="111"))
    account = RegisterAccount.objects.create(
        server=server, register=register, state="created", login="r17"
    )
    operator.cookies["django_language"] = language
    with failing(way) as server.admin_port:
        server.save()
        address = reverse("account_change", args=[account.pk, "block"])
        page = operator.post(address, {"reason": "a test"}, follow=True)
    assert sentence(way, language, 5) in page.text
    account.refresh_from_db()
    assert (account.state, account.blocked) == ("created", False)
    assert not AuditEntry.objects.about(account).exists()
