"""What names may hold."""

from django.core.validators import RegexValidator
from django.utils.translation import gettext_lazy

# What the contract of the administration port calls a text.
printable = RegexValidator(
    r"\A[^\x00-\x1f\x7f-\x9f\u2028\u2029]*\Z",
    gettext_lazy("Line breaks and control characters are not allowed."),
)
