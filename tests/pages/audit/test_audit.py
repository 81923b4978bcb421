import pytest

from transfer.models import AccountJob, Actor, AuditEntry, RejectedRow

IVAN = Actor("ivan", address="10.0.0.7")


@pytest.mark.parametrize(
    ("language", "words"), [("ru", "Создать учётные записи"), ("en", "Create accounts")]
)
def test_a_choice_is_told_in_words_of_the_language(admin_client, dock, bonus, language, words):
    server = dock(bonus)
    AccountJob.order(server, AccountJob.Action.CREATE, [], IVAN)
    admin_client.cookies["django_language"] = language
    page = admin_client.get("/audit/").text
    assert f"</span>{words}</b>" in page
    assert "</span>create</b>" not in page


def test_how_many_rows_were_discarded_at_once_is_told_in_russian(admin_client):
    AuditEntry.record(
        IVAN, AuditEntry.Action.DISCARD, RejectedRow(kind="balances"), new={"rows": 12}
    )
    page = admin_client.get("/audit/").text
    assert "строк:" in page
    assert "rows:" not in page
