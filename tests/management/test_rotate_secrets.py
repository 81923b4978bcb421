"""rotate_secrets: the key changes, the secrets stay."""

import pytest
from django.core.management import CommandError, call_command

from transfer.engine.kinds import KINDS
from transfer.loading.receive import receive
from transfer.models import (
    AccountJob,
    Actor,
    AuditEntry,
    BonusServer,
    CashRegister,
    IssuedSecret,
    Recipient,
    RegisterAccount,
    Shop,
)
from transfer.pages.parts.audit_sentences import sentence


@pytest.fixture
def change_key(settings):
    def change_key(new: str, *old: str) -> None:
        settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = new, list(old)

    return change_key


@pytest.fixture
def server(db, change_key):
    change_key("the first key")
    server = BonusServer(
        name="Server 8", host="localhost", db_name="bonus", api_token="t0ken", db_password="s3cret"
    )
    server.dock()
    return server


def test_after_the_rotation_the_old_key_is_not_needed_any_more(server, change_key, capsys):
    change_key("the second key", "the first key")
    server.refresh_from_db()
    assert server.api_token == "t0ken"
    call_command("rotate_secrets")
    assert "t0ken" not in capsys.readouterr().out
    change_key("the second key")
    server.refresh_from_db()
    assert (server.api_token, server.db_password) == ("t0ken", "s3cret")


@pytest.fixture
def issued(server):
    """A register's password that waits to be taken."""
    register = CashRegister.objects.create(code="17", shop=Shop.objects.create(code="111"))
    account = RegisterAccount.objects.create(server=server, register=register, state="created")
    job = AccountJob.objects.create(server=server, action="create", actor="olga", total=1)
    return IssuedSecret.objects.create(job=job, account=account, secret="pa55word")


def test_waiting_passwords_addresses_of_recipients_and_files_are_encrypted_anew_too(
    issued, change_key
):
    recipient = Recipient.objects.create(name="On call", channel="webhook", address="https://x/k3y")
    signing_key = recipient.signing_key
    upload = receive(KINDS["balances"], [b"account;amount\n4100;5\n"], Actor("olga"))
    change_key("the second key", "the first key")
    call_command("rotate_secrets")
    change_key("the second key")
    issued.refresh_from_db()
    assert (issued.secret, issued.is_readable) == ("pa55word", True)
    recipient.refresh_from_db()
    assert (recipient.address, recipient.signing_key) == ("https://x/k3y", signing_key)
    assert upload.open().read() == b"account;amount\n4100;5\n"


def test_a_recipient_that_no_key_reads_is_named(server, change_key):
    Recipient.objects.create(name="On call", channel="mail", address="olga@shop.local")
    BonusServer.objects.update(api_token=None, db_password=None)
    change_key("the second key")
    with pytest.raises(CommandError, match="On call"):
        call_command("rotate_secrets")


def test_one_secret_of_several_that_no_key_reads_is_enough(server, change_key):
    on_call = Recipient.objects.create(name="On call", channel="webhook", address="https://x/k3y")
    BonusServer.objects.update(api_token=None, db_password=None)
    change_key("the second key")
    on_call.save(update_fields=["address"])  # an administrator has entered it again
    with pytest.raises(CommandError, match="On call"):
        call_command("rotate_secrets")


def test_a_password_that_no_key_reads_is_left_as_it_is(server, issued, change_key):
    BonusServer.objects.update(api_token=None, db_password=None)
    change_key("the second key")
    with pytest.raises(CommandError, match="Server 8"):
        call_command("rotate_secrets")
    change_key("the first key")
    issued.refresh_from_db()
    assert issued.secret == "pa55word"


def test_without_the_old_key_nothing_is_changed_and_the_server_is_named(server, change_key):
    change_key("the second key")
    with pytest.raises(CommandError, match="Server 8"):
        call_command("rotate_secrets")
    change_key("the first key")
    server.refresh_from_db()
    assert server.api_token == "t0ken"


def test_a_dry_run_changes_nothing(server, change_key):
    change_key("the second key", "the first key")
    call_command("rotate_secrets", "--dry-run")
    assert not AuditEntry.objects.filter(action="secrets").exists()
    change_key("the second key")
    server.refresh_from_db()
    assert server.api_token != "t0ken"


def test_a_rotation_is_in_the_audit_with_how_many_secrets_and_none_of_them(
    server, issued, change_key, settings
):
    settings.LANGUAGE_CODE = "en"
    change_key("the second key", "the first key")
    call_command("rotate_secrets")
    entry = AuditEntry.objects.get(action="secrets")
    assert entry.who.endswith("(manage.py)")
    assert sentence(entry).endswith("encrypted all stored secrets with the present SECRET_KEY")
    assert entry.new == {"secrets": 2}  # of the server, and of a register
    stored = str(vars(entry))
    assert not any(secret in stored for secret in ("t0ken", "s3cret", "pa55word", "second key"))
