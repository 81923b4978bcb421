"""Translates messages that are needed before Django's settings are loaded."""

import os
from gettext import translation
from pathlib import Path

LOCALE = Path(__file__).resolve().parent.parent / "transfer" / "locale"


def gettext(message: str) -> str:
    """Returns the message in the language of DTADMIN_LANGUAGE, Russian by default."""
    language = os.environ.get("DTADMIN_LANGUAGE", "").strip() or "ru"
    return translation("django", LOCALE, [language], fallback=True).gettext(message)
