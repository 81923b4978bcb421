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


@pytest.mark.parametrize("model", ["user", "group"])
def test_users_and_groups_are_not_there_to_be_changed_past_the_audit(admin_client, model):
    assert admin_client.get(f"/admin/auth/{model}/").status_code == 404


def test_a_server_is_shown_without_its_secrets_and_cannot_be_changed(admin_client, server):
    url = f"/admin/transfer/bonusserver/{server.pk}/change/"
    page = admin_client.get(url)
    assert server.name in page.text
    assert "s3cret-word" not in page.text
    assert "db_password" not in page.text
    assert admin_client.post(url, {"name": "other"}).status_code == 403
