"""The watch over all forms that the tests of the pages send: see conftest.py."""

import pytest

from tests.pages.audited import not_in_the_audit, snapshot
from tests.records import server, user
from transfer.models import Actor, AuditEntry, Settings, User

pytestmark = pytest.mark.django_db


def test_a_change_without_an_entry_is_noticed():
    user("viewer", "olga")
    before = snapshot()
    User.objects.update(first_name="Ольга")
    assert not_in_the_audit(before, snapshot()) == ["auth_user"]


def test_a_change_of_the_settings_without_an_entry_is_noticed():
    Settings.load()
    before = snapshot()
    Settings.objects.update(second_factor_level=3)
    assert not_in_the_audit(before, snapshot()) == ["transfer_settings"]


def test_a_change_with_an_entry_is_right():
    olga = user("viewer", "olga")
    before = snapshot()
    User.objects.update(first_name="Ольга")
    AuditEntry.record(Actor("anna"), AuditEntry.Action.CHANGE, olga)
    assert not_in_the_audit(before, snapshot()) == []


def test_what_changes_nothing_needs_no_entry():
    server()
    before = snapshot()
    User.objects.update(first_name="")
    assert not_in_the_audit(before, snapshot()) == []
