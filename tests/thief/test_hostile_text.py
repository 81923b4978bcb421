"""Text that makes a regular expression backtrack stops a whole process: Python does nothing else.

Nothing is measured: with a pattern that takes the square of a text's length, these tests do not end
within the time that a test has.
"""

import importlib
import pkgutil
import re

import pytest

import dtadmin.middleware
import transfer
from transfer.loading.values import is_masked, number, status, text
from transfer.pages.components.basic import commands

pytestmark = pytest.mark.timeout(60)

LENGTH = 200_000
PARTS = (
    *" \t•*?10a_-.,:;/'\"«»=E+я\x07\n",
    *("1.", ".1", ", ", "1,1", "1'111", "--", "a-", "gAAAA", "\tgAAAA"),
    *("manage.py ", "manage.py &#x27;", " &#x27;a&#x27;", "error: ", "FATAL: "),
)
HOSTILE = [part * (LENGTH // len(part)) + end for part in PARTS for end in ("", "!", "\0x")]


def patterns():
    """Every compiled pattern of the product, by its module and name."""
    names = [one.name for one in pkgutil.walk_packages(transfer.__path__, "transfer.")]
    modules = [importlib.import_module(name) for name in names if ".migrations" not in name]
    for module in (*modules, dtadmin.middleware):
        for name, value in vars(module).items():
            if isinstance(value, re.Pattern):
                yield f"{module.__name__}.{name}", value


@pytest.mark.long
def test_no_pattern_backtracks():
    found = dict(patterns())
    assert "transfer.loading.values.MASKED" in found
    for hostile in HOSTILE:
        for pattern in found.values():
            pattern.match(hostile)
            pattern.fullmatch(hostile)


def test_no_cell_of_a_file_keeps_its_reader_busy():
    for hostile in HOSTILE:
        for read in (number, status, text, is_masked):
            read(hostile)


def test_no_sentence_on_a_page_keeps_its_template_busy():
    for hostile in HOSTILE:
        commands(hostile)
