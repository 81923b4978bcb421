"""Django's own admin: to look, not to change, and never a secret."""

import pytest
from django.contrib import admin

from transfer.models import BonusServer


@pytest.fixture
def server(db, dock):
    server = dock("host=bs8 dbname=loyalty user=bonus")
    BonusServer.objects.filter(pk=server.pk).update(db_password="s3cret-word")
    return server


@pytest.mark.parametrize(
    "model", [m for m in admin.site._registry if m._meta.app_label == "transfer"]
)
def test_every_list_opens(admin_client, server, model):
    answer = admin_client.get(f"/admin/transfer/{model._meta.model_name}/")
    assert answer.status_code == 200


@pytest.mark.parametrize(
    "address", ["auth/user", "auth/group", "mfa/authenticator", "socialaccount/socialapp"]
)
def test_what_the_audit_would_not_note_is_not_there_to_be_changed(admin_client, address):
    assert admin_client.get(f"/admin/{address}/").status_code == 404


def test_it_shows_rows_of_the_product_alone():
    shown = {model._meta.app_label for model in admin.site._registry}
    assert shown - {"django_tasks_database"} == {"transfer"}


def test_a_server_is_shown_without_its_secrets_and_cannot_be_changed(admin_client, server):
    url = f"/admin/transfer/bonusserver/{server.pk}/change/"
    page = admin_client.get(url)
    assert server.name in page.text
    assert "s3cret-word" not in page.text
    assert "db_password" not in page.text
    assert admin_client.post(url, {"name": "other"}).status_code == 403
