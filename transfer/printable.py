"""Text from outside, made printable: it can't act on a terminal, or hide what follows."""

import re

# What a terminal would obey, or a reader would not see: control characters but the line break,
# marks without a width or that turn the direction of text, half characters.
UNPRINTABLE = re.compile(
    "[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]"
)


def printable(text: str) -> str:
    r"""The text with each unprintable character as its number: "\u001b". Line breaks stay."""
    return UNPRINTABLE.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def one_line(text: str) -> str:
    """Likewise, with line breaks escaped: a name can't begin a new line."""
    return printable(text).replace("\n", "\\u000a")
