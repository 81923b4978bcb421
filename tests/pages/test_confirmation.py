"""What all questions before an action have in common."""

import re

import pytest
from django.urls import reverse

from tests.records import server, user
from transfer.models import Shop

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("in_english")]


def test_the_language_is_switched_also_where_only_a_form_leads_to_the_page(
    admin, docked, six, ordered
):
    ordered("create", six)
    chosen = {"action": "block", "register": six[0].pk}
    asked = admin.post(reverse("server_accounts", args=[docked.pk]), chosen)
    assert "Block the chosen accounts?" in asked.text
    form = re.compile(rf'action="{reverse("set_language")}".*?name="next" value="([^"]*)"', re.S)
    (address,) = set(form.findall(asked.text))
    switched = {"language": "en", "next": address}
    answer = admin.post(reverse("set_language"), switched, follow=True)
    assert answer.status_code == 200
    assert answer.redirect_chain == [(docked.get_absolute_url(), 302)]


def test_the_page_above_is_named_as_on_the_other_pages_about_it(admin):
    ivan, docked = user("operator", "ivan"), server()
    shop = Shop.objects.create(code="111")
    for address, above, name in (
        (reverse("server_remove", args=[docked.pk]), docked.get_absolute_url(), docked.name),
        (reverse("user_close", args=[ivan.pk]), reverse("user", args=[ivan.pk]), "ivan"),
        (reverse("user_factors", args=[ivan.pk]), reverse("user", args=[ivan.pk]), "ivan"),
        (reverse("shop_remove", args=[shop.pk]), reverse("shops"), "Shops"),
    ):
        assert f'<a href="{above}">{name}</a>' in admin.get(address).text
