"""What would mend a rejected row by itself: a number without the spaces that were copied with it.

An amount with a comma can't come so far: the staging table holds numbers.
"""

import re

from transfer.engine.checks import UNPRINTABLE
from transfer.engine.kinds import Kind
from transfer.loading.faults import columns_of
from transfer.rejects.resend import Values
from transfer.words.explain import CHECKS

# Reasons that the removal of spaces may do away with.
SPACES = ("account_has_spaces", "card_malformed")
UNSEEN = re.compile(UNPRINTABLE.replace("[:space:]", r"\s").replace("[:cntrl:]", r"\x00-\x1f\x7f"))


def without_spaces(kind: Kind, code: str, payload: Values) -> Values:
    """The columns that the failed check looks at, without spaces; nothing where that changes none.

    Of a number that nothing is left of, nothing is suggested.
    """
    if code not in SPACES:
        return {}
    given = {name: payload.get(name) or "" for name in columns_of(kind, CHECKS[code])}
    mended = {name: UNSEEN.sub("", value) for name, value in given.items()}
    return {name: value for name, value in mended.items() if value and value != given[name]}
