"""Who may see and change servers and registers."""

import pytest
from django.contrib.auth.models import Group, User
from django.urls import reverse

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("name", "viewer", "operator_"),
    [
        ("servers", 200, 200),
        ("server", 200, 200),
        ("registers", 200, 200),
        ("register", 200, 200),
        ("shops", 200, 200),
        ("register_export", 200, 200),
        ("register_add", 403, 200),
        ("register_import", 403, 200),
        ("shop_add", 403, 200),
        ("server_add", 403, 403),
        ("server_edit", 403, 403),
        ("server_remove", 403, 403),
    ],
)
def test_who_may_see_what(client, servers, registers, name, viewer, operator_):
    (register,) = registers(1)
    arguments = {"register": [register.pk], "server": [servers[0].pk]}.get(
        name, [servers[0].pk] if name in ("server_edit", "server_remove") else []
    )
    for group, status in (("viewer", viewer), ("operator", operator_), ("administrator", 200)):
        user = User.objects.create_user(group)
        user.groups.add(Group.objects.get(name=group))
        client.force_login(user)
        assert client.get(reverse(name, args=arguments)).status_code == status, group


def test_a_viewer_sees_no_buttons_and_changes_nothing(client, servers, registers):
    registers(1)
    user = User.objects.create_user("viewer")
    user.groups.add(Group.objects.get(name="viewer"))
    client.force_login(user)
    text = client.get(servers[0].get_absolute_url()).content.decode()
    assert 'value="create"' not in text
    for name in ("server_accounts", "server_test"):
        assert client.post(reverse(name, args=[servers[0].pk])).status_code == 403
