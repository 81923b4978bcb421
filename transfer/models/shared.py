"""What several models share: the column of a sum, and what a name may hold."""

import unicodedata
from typing import Any

from django.core.validators import RegexValidator
from django.db import models
from django.utils.translation import gettext_lazy


class AmountField(models.DecimalField):
    """A sum of balance changes. Staged amounts have no bound before the checks."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{"max_digits": 1000, "decimal_places": 2, **kwargs})

    def db_type(self, connection: Any) -> str:
        return "numeric"


# What the contract of the administration port calls a text.
printable = RegexValidator(
    r"\A[^\x00-\x1f\x7f-\x9f\u2028\u2029]*\Z",
    gettext_lazy("Line breaks and control characters are not allowed."),
)

# Japanese is written with all of them.
OF_JAPANESE = {"CJK", "HIRAGANA", "KATAKANA"}


def alphabets(text: str) -> set[str]:
    """Return the alphabets of the letters in a text, such as {"LATIN", "CYRILLIC"}.

    Unicode's name of a letter begins with its alphabet.
    """
    named = {unicodedata.name(one, "").partition(" ")[0] for one in text if one.isalpha()}
    return {"JAPANESE" if name in OF_JAPANESE else name for name in named}
