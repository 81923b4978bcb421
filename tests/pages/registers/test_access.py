"""What a viewer is not offered; what is refused stands in tests/pages/test_every_url.py."""

import pytest
from django.contrib.auth.models import Group, User
from django.urls import reverse

pytestmark = pytest.mark.django_db


def test_a_viewer_sees_no_buttons(client, servers, registers):
    registers(1)
    user = User.objects.create_user("viewer")
    user.groups.add(Group.objects.get(name="viewer"))
    client.force_login(user)
    text = client.get(servers[0].get_absolute_url()).content.decode()
    assert 'value="create"' not in text
    assert reverse("server_test", args=[servers[0].pk]) not in text
