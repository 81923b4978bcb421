"""Django's sentences on our pages are in our own Russian."""

import gettext
from pathlib import Path

import django
import pytest
from django.utils.translation import gettext as _, ngettext, override

from tests.pages.look import words
from tests.records import user
from transfer.text.django_words import FIELDS, PASSWORDS

SENTENCES = FIELDS + PASSWORDS


def singular(sentence) -> str:
    """The sentence, or the first form of one that counts."""
    return sentence if isinstance(sentence, str) else sentence._kw["singular"]


@pytest.fixture(scope="module")
def of_django() -> dict[str, str]:
    """Django's own Russian."""
    found: dict[str, str] = {}
    for part in ("conf", "contrib/auth"):
        folder = Path(django.__file__).parent / part / "locale"
        for key, text in gettext.translation("django", folder, ["ru"])._catalog.items():
            found.setdefault(key[0] if isinstance(key, tuple) else key, text)
    return found


@pytest.mark.parametrize("sentence", SENTENCES, ids=lambda one: singular(one)[:40])
def test_django_has_the_sentence_and_we_say_it_otherwise(of_django, sentence):
    name = singular(sentence)
    assert name in of_django
    with override("ru"):
        ours = _(name) if isinstance(sentence, str) else ngettext(name, "", 5)
    assert ours != of_django[name]
    assert not any(word in ours for word in ("Убедитесь", "Пожалуйста", "корректн", "Введенн"))


@pytest.mark.django_db
class TestOnThePages:
    def test_a_wrong_password_names_what_to_check(self, client):
        user("viewer")
        client.cookies["django_language"] = "ru"
        page = client.post("/login/", {"username": "olga", "password": "wrong"})
        assert "Неверное имя или пароль. Проверьте раскладку и Caps Lock." in words(page)

    def test_an_empty_field_is_to_be_filled_in(self, client):
        client.cookies["django_language"] = "ru"
        assert "Заполните поле." in words(client.post("/login/", {}))

    def test_a_new_password_that_breaks_the_rules_names_the_rule(self, client):
        client.force_login(user("viewer"))
        client.cookies["django_language"] = "ru"
        new = {"old_password": "x", "new_password1": "123", "new_password2": "123"}
        page = words(client.post("/account/password/", new))
        assert "Пароль слишком короткий: нужно не меньше 8 символов." in page
        assert "Пароль состоит только из цифр" in page
