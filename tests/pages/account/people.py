"""Users with a password, and whether a browser is logged in."""

from typing import Any

from django.test import Client

from tests.records import user
from transfer.models import User

PASSWORD = "correct horse battery"
HOME = "10.0.0.7"


def somebody(name: str, role: str = "operator") -> User:
    made = user(role, name)
    made.set_password(PASSWORD)
    made.save()
    return User.objects.get(pk=made.pk)


def log_in(
    browser: Client,
    name: str = "olga",
    password: str = PASSWORD,
    address: str = HOME,
    at: str = "/login/",
) -> Any:
    data = {"username": name, "password": password}
    return browser.post(at, data, REMOTE_ADDR=address)
