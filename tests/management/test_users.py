"""createsuperuser and changepassword: what they did is in the audit, and no password is."""

import getpass

import pytest
from django.core.management import CommandError, call_command

from tests.records import user
from transfer.models import AuditEntry, User
from transfer.pages.parts.audit_sentences import sentence

pytestmark = pytest.mark.django_db
PASSWORD = "correct horse battery"


@pytest.fixture(autouse=True)
def in_english(settings):
    settings.LANGUAGE_CODE = "en"


@pytest.fixture
def typed(monkeypatch):
    """Answers each question for a password: the terminal is the only thing that is not real."""
    monkeypatch.setattr(getpass, "getpass", lambda *_prompt, **_options: PASSWORD)


def make(name: str = "root") -> None:
    call_command("createsuperuser", username=name, email="", interactive=False, verbosity=0)


def test_a_superuser_is_in_the_audit(monkeypatch):
    monkeypatch.setenv("DJANGO_SUPERUSER_PASSWORD", PASSWORD)
    make()
    entry = AuditEntry.objects.get()
    assert entry.who.endswith("(manage.py)")
    assert (entry.action, entry.subject_params) == ("create", {"name": "root"})
    assert (entry.new["role"], entry.new["state"]) == ("administrator", "active")
    assert sentence(entry).endswith("added the user “root”")
    assert PASSWORD not in str(vars(entry))
    root = User.objects.get(username="root")
    assert (root.is_superuser, root.check_password(PASSWORD)) == (True, True)


def test_a_name_that_differs_in_capitals_alone_is_refused_and_nothing_is_noted():
    user("viewer", "root")
    with pytest.raises(CommandError, match="There is a user “root” already"):
        make("Root")
    assert not AuditEntry.objects.exists()


def test_a_changed_password_is_in_the_audit(typed):
    user("operator", "olga")
    call_command("changepassword", "olga")
    entry = AuditEntry.objects.get()
    assert entry.who.endswith("(manage.py)")
    assert sentence(entry).endswith("set a new password for “olga”")
    assert PASSWORD not in str(vars(entry))
    assert User.objects.get(username="olga").check_password(PASSWORD)


def test_a_password_that_is_refused_leaves_no_entry(monkeypatch):
    made = user("operator", "olga")
    monkeypatch.setattr(getpass, "getpass", lambda *_prompt, **_options: "short")
    with pytest.raises(CommandError):
        call_command("changepassword", "olga")
    assert User.objects.get(pk=made.pk).password == made.password
    assert not AuditEntry.objects.exists()
