"""An app with codes, as a user has it: its key, and the code that it shows."""

import re
import time

from allauth.mfa.totp.internal.auth import format_hotp_value, hotp_value
from django.test import Client

APP = "/account/factors/app/"


def code_of(key: str, at: float | None = None) -> str:
    """The code that the app shows, now or at another time."""
    return format_hotp_value(hotp_value(key, int(time.time() if at is None else at) // 30))


def set_up_app(browser: Client) -> str:
    """Sets up an app, and returns its key."""
    page = browser.get(APP).content.decode()
    key = re.search(r'class="secret break">([A-Z2-7]{32})<', page)[1]
    answer = browser.post(APP, {"code": code_of(key)})
    assert answer.status_code == 302, answer.content.decode()
    return key
