"""A user's name that looks like another one."""

import pytest
from django.core.exceptions import ValidationError
from django.core.management import CommandError, call_command

from tests.pages.look import words
from tests.records import user
from transfer.access import Role
from transfer.models import Actor, User

pytestmark = pytest.mark.django_db
CYRILLIC_O = "rооt"


@pytest.fixture(autouse=True)
def anna(client, settings) -> None:
    settings.LANGUAGE_CODE = "en"
    client.force_login(user("administrator", "anna"))


@pytest.mark.parametrize("name", [CYRILLIC_O, "аnna", "ивaн", "anna.αβ"])
def test_letters_of_several_alphabets_are_refused_for_a_new_user(client, name):
    answer = client.post("/users/add/", {"username": name, "role": "viewer"})
    assert "of several alphabets" in words(answer)
    with pytest.raises(ValidationError):
        User.add(Actor("anna"), role=Role.VIEWER, password="x", username=name)
    with pytest.raises(CommandError, match=r"several alphabets|нескольких алфавитов"):
        call_command("createsuperuser", username=name, email="", interactive=False, verbosity=0)
    assert User.objects.count() == 1


@pytest.mark.parametrize("name", ["иван.1", "ivan_2", "ivan@shop.local", "田中たなか", "1024"])
def test_letters_of_one_alphabet_are_taken(client, name):
    client.post("/users/add/", {"username": name, "role": "viewer"})
    assert User.objects.filter(username=name).exists()


def test_wide_letters_are_the_usual_ones(client):
    User.add(Actor("anna"), role=Role.VIEWER, password="x", username="ｉｖａｎ")
    assert User.objects.filter(username="ivan").exists()
    with pytest.raises(ValidationError, match="already"):
        User.add(Actor("anna"), role=Role.VIEWER, password="x", username="ＩＶＡＮ")


@pytest.mark.parametrize("name", [CYRILLIC_O, "ｒoot"])
def test_one_that_is_there_already_is_marked_on_the_pages_of_users(client, name):
    mark = "Name may imitate another"
    assert mark not in words(client.get("/users/"))
    made = User(username=name)  # of a version that did not look
    made.save()
    assert words(client.get("/users/")).count(mark) == 1
    assert mark in words(client.get(f"/users/{made.pk}/"))
