import pytest
from django.contrib.auth.models import AnonymousUser, Group, User
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.urls import reverse

from transfer.access import Role, has_role, role_of


def user(*groups: str, **fields: bool) -> User:
    user = User.objects.create_user("olga", **fields)
    user.groups.set(Group.objects.filter(name__in=groups))
    return user


@pytest.mark.django_db
class TestRoles:
    def test_the_groups_exist_after_migrate_and_only_once(self):
        call_command("migrate", verbosity=0)
        names = Group.objects.values_list("name", flat=True)
        assert sorted(names) == ["administrator", "operator", "viewer"]

    def test_a_higher_role_has_the_rights_of_the_lower_ones(self):
        olga = user("operator")
        assert [has_role(olga, role) for role in Role] == [True, True, False]

    def test_the_highest_of_several_counts(self):
        assert role_of(user("viewer", "administrator")) == Role.ADMINISTRATOR

    def test_a_superuser_is_an_administrator_without_a_group(self):
        assert role_of(user(is_superuser=True)) == Role.ADMINISTRATOR

    def test_no_group_and_nobody_are_no_role(self):
        assert role_of(user()) is None
        assert role_of(AnonymousUser()) is None

    @pytest.mark.parametrize(("group", "status"), [(None, 403), ("viewer", 200), ("operator", 200)])
    def test_a_page_that_says_nothing_needs_a_viewer(self, client: Client, group, status):
        client.force_login(user(*[group] if group else []))
        assert client.get(reverse("overview")).status_code == status
        assert client.get(reverse("account")).status_code == 200

    def test_djangos_admin_is_for_administrators_even_among_the_staff(self, client: Client):
        client.force_login(user("operator", is_staff=True))
        assert client.get(reverse("admin:index")).status_code == 403


@pytest.mark.django_db
class TestEveryResponse:
    def test_loads_nothing_from_elsewhere(self, client: Client):
        policy = client.get(reverse("account_login")).headers["Content-Security-Policy"]
        assert "default-src 'self'" in policy
        assert "unsafe" not in policy

    def test_is_never_a_way_to_another_site(self, client: Client):
        for name in ("set_theme", "set_language"):
            data = {"theme": "dark", "language": "en", "next": "https://example.com/"}
            assert "example.com" not in client.post(reverse(name), data).headers["Location"]

    def test_a_foreign_host_name_gets_our_page(self, client: Client):
        response = client.get(reverse("account_login"), headers={"host": "elsewhere.example"})
        assert response.status_code == 400
        assert "Data Transfer" in response.content.decode()


@pytest.mark.urls("tests.browser.gallery")
def test_the_page_of_a_broken_server_asks_no_database(client: Client):
    """No `django_db` mark: any query fails here."""
    from transfer.pages.error_pages import server_error

    client.raise_request_exception = False
    request = client.get("/login/").wsgi_request
    assert not connection.queries_log
    assert server_error(request).status_code == 500


def test_a_form_that_is_none_to_an_address_that_is_none_is_told_so(db):
    browser = Client(enforce_csrf_checks=True, raise_request_exception=False)
    browser.cookies["csrftoken"] = "a" * 32
    answer = browser.post("/no-such-page/", b"x", content_type="multipart/form-data")
    assert answer.status_code == 404
