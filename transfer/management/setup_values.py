"""The values that `setup` writes: given as options, found in the env file, or asked for."""

import sys
from collections.abc import Collection
from getpass import getpass
from io import StringIO
from pathlib import Path
from secrets import token_urlsafe
from typing import Any
from urllib.parse import urlsplit

import psycopg2
from django.conf import settings
from django.utils import translation
from django.utils.translation import gettext as _
from dotenv import dotenv_values
from psycopg2.extensions import parse_dsn

from transfer.management.command import UsageError, typed
from transfer.management.passwords import with_password, without_password
from transfer.models.settings import known_zones


class Questions:
    """Asks on a terminal. `secrets`: passwords that were given beforehand, by name."""

    def __init__(self, secrets: dict[str, str]) -> None:
        self.secrets = secrets

    def ask(self, question: str, default: str, choices: Collection[str] = ()) -> str:
        """The answer from the terminal; without a terminal, the default."""
        answer = default if not sys.stdin.isatty() else None
        while answer is None or (choices and answer not in choices):
            answer = typed(input, f"{question} [{default}]: ").strip() or default
        return answer

    def password(self, name: str, question: str) -> str:
        if name in self.secrets or not sys.stdin.isatty():
            return self.secrets.get(name, "")
        return typed(getpass, f"{question}: ")


class Urls:
    """The URLs of databases, with passwords. `written`: those that the env file has."""

    def __init__(self, written: dict[str, str], questions: Questions) -> None:
        self.written, self.questions = written, questions

    def url(self, variable: str, option: str | None, what: str, name: str, other: str = "") -> str:
        """The URL of a database, with its password, which a user of `other` has already.

        Raises UsageError.
        """
        written, secret = self.written.get(variable), variable.removesuffix("_DATABASE_URL")
        secret = secret.removesuffix("_URL")
        if written and option in (None, without_password(written)):
            given = self.questions.secrets.get(secret)
            return with_password(without_password(written), given) if given else written
        bare = option or self.questions.ask(what, f"postgresql://dtadmin@localhost/{name}")
        try:
            parts = parse_dsn(bare) if bare.startswith("postgres") else {}
        except psycopg2.ProgrammingError:
            parts = {}
        if not parts.get("user") or not parts.get("dbname") or "password" in parts:
            raise UsageError(
                _("%(what)s: a URL such as postgresql://user@host/name, without the password"),
                what=what,
            )
        known = parse_dsn(other)
        if all(known.get(part) == parts.get(part) for part in ("user", "host", "port")):
            self.questions.secrets.setdefault(secret, known.get("password", ""))
        question = _("Password of %(user)s (empty: a new user with a random password)")
        password = self.questions.password(secret, question % {"user": parts["user"]})
        return with_password(bare, password or token_urlsafe(24))


def env_values(
    options: dict[str, Any], written: dict[str, str], questions: Questions
) -> dict[str, str]:
    """The values for the env file; `written` are those that it has. Raises UsageError."""
    zone = options["time_zone"] or written.get("TIME_ZONE")
    zone = zone or questions.ask(_("Time zone"), settings.TIME_ZONE)
    if zone not in known_zones():
        raise UsageError(_("There is no time zone %(zone)s."), zone=zone)
    address = options["address"] or written.get("SITE_URL")
    address = address or questions.ask(_("Address of the pages"), "http://localhost:8000")
    address = address.rstrip("/")
    try:
        parts = urlsplit(address)
    except ValueError:  # a bracket that nothing closes
        parts = urlsplit("")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise UsageError(_("%(address)s is not an address of pages."), address=address)
    urls = Urls(written, questions)
    own = urls.url("DATABASE_URL", options["database"], _("Our own database"), "dtadmin")
    values = {
        "SECRET_KEY": written.get("SECRET_KEY") or token_urlsafe(50),
        "DATABASE_URL": own,
        "SHOP_ALL_DATABASE_URL": urls.url(
            "SHOP_ALL_DATABASE_URL", options["shop_all"], _("shop All"), "shop_all", own
        ),
        "DTADMIN_LANGUAGE": translation.get_language() or settings.LANGUAGE_CODE,
        "TIME_ZONE": zone,
        "SITE_URL": address,
    }
    if address != written.get("SITE_URL"):
        values["ALLOWED_HOSTS"] = ",".join(dict.fromkeys([parts.hostname, "localhost"]))
        if parts.scheme == "https":
            of_this_machine = settings.UNIX if settings.SYSTEMD else "127.0.0.1"
            values["BEHIND_PROXY"] = written.get("BEHIND_PROXY") or of_this_machine
    return values


def read_secrets(path: str | None) -> dict[str, str]:
    """Raises UsageError."""
    if path is None:
        return {}
    try:
        text = sys.stdin.read() if path == "-" else Path(path).read_text()
    except OSError as error:
        raise UsageError(_("%(file)s can't be read."), file=path) from error
    lines = dotenv_values(stream=StringIO(text), interpolate=False)
    return {name: value for name, value in lines.items() if value}
