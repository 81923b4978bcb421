"""The database itself keeps the audit: entries are added, and only the retention removes them."""

from datetime import timedelta

import pytest
from django.db import InternalError, connection, transaction
from django.utils import timezone

from tests.records import server
from transfer.models import Actor, AuditEntry

pytestmark = pytest.mark.django_db


@pytest.fixture
def entry():
    server().tasks.get(kind="pincodes").switch(True, Actor("ivan"))
    return AuditEntry.objects.first()


@pytest.mark.parametrize(
    "statement",
    [
        "update transfer_auditentry set who = 'olga'",
        "delete from transfer_auditentry",
        "truncate transfer_auditentry cascade",
    ],
)
def test_sql_can_neither_change_nor_remove_an_entry(entry, statement):
    refused = pytest.raises(InternalError, match="entries of transfer_auditentry are only")
    with refused, transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement)
    assert AuditEntry.objects.get(pk=entry.pk).who == "ivan"


def test_the_retention_removes_old_entries(entry):
    AuditEntry.forget(timezone.now() + timedelta(days=1))
    assert not AuditEntry.objects.exists()
