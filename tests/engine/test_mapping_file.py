"""DTADMIN_TABLES: how the file is read, and which sentence each of its errors gets."""

import re
import tomllib

import pytest

from tests.databases import ROOT
from transfer.engine import mapping_file as mapping
from transfer.engine.kinds import KINDS
from transfer.engine.mapping_file import TablesRefused


def read(tmp_path, text):
    file = tmp_path / "tables.toml"
    file.write_text(text)
    return mapping.read(str(file))


WRONG = [
    ("[cards\n", "not valid TOML.*line 1"),
    (
        "\n[card.bonus_server]\n",
        r"line 2, section \[card\]: card is not a known key here. Possible keys: pincodes",
    ),
    (
        "[cards.server]\n",
        r"line 1, section \[cards.server\]: server is not a known key here. Possible keys: shop",
    ),
    ("cards = 1\n", "line 1: cards has to be a table"),
    ("[cards.shop_all]\ntabel = 'x'\n", r"line 2, section \[cards.shop_all\]: tabel is not"),
    ("[cards.shop_all]\namount = 'minor'\n", "line 2, .*: amount is not a known key"),
    ("[balances.shop_all]\n\namount = 'cents'\n", 'line 3, .*: amount has to be "minor"'),
    ("[cards.shop_all]\ntable = 7\n", "line 2, .*: 7 is not a valid name"),
    ("[cards.shop_all]\ntable = '7up'\n", "line 2, .*: '7up' is not a valid name"),
    ("[cards.shop_all]\ntable = 'a.b.c'\n", "line 2, .*: 'b.c' is not a valid name"),
    ("[cards.bonus_server]\ntable = 'x\"; drop table asset; --'", "line 2, .* is not a valid name"),
    ("[cards.shop_all]\ntable = '.a'\n", "line 2, .*: '' is not a valid name"),
    (f"[cards.shop_all]\ntable = '{'я' * 32}'\n", "line 2, .* is not a valid name"),
    ("[cards.shop_all.columns]\nnumber = 'card'\n", "line 2, .*: number is not a known key"),
    ("[cards.shop_all.columns]\nchanged_at = 'x'\n", "line 2, .*: changed_at is not a known key"),
    ("[cards.shop_all.columns]\ncard = false\n", "line 2, .*: The table needs card"),
    ("[cards.bonus_server.columns]\naccount = false\n", "line 2, .*: The table needs a"),
    ("[balances.shop_all.columns]\nvalidto = false\n", "line 2, .*: The table needs v"),
    (
        "[cards.bonus_server.columns]\ncard = 'account'\n",
        "line [12], .*: The column account has",
    ),
    ("[cards.shop_all.columns]\ncard = 'xid'\n", "line 2, .*: The column xid has another meaning"),
    ("[cards.shop_all.fixed]\ncard = 'x'\n", "line 2, .*: The column card has another meaning"),
    (
        "[cards.shop_all.fixed]\nx = 1\n\ny = 1.5\n",
        "line 4, .*: y has to be a text, a whole",
    ),
    ("[cards.shop_all.fixed]\nx = 'a'\ny = \"a\\u0000\"\n", "line 3, .*: y has to be a text"),
    ("[cards.shop_all]\nfixed = 1\n", "line 2, .*: fixed has to be a table"),
    ("[cards.shop_all.sequences]\nn = 'x'\n", "line [12], .*: sequences is not a known key"),
    ("[cards.bonus_server]\nsequences = 'x'\n", "line 2, .*: sequences has to be a table"),
    ("[cards.bonus_server.sequences]\nn = 1\n", "line 2, .*: 1 is not a valid name"),
    (
        "[cards.bonus_server]\nfixed.n = 1\nsequences.n = 'x'\n",
        "line 3, .*: The column n has another meaning already",
    ),
    ("[cards.bonus_server.status]\nEARN_PAY = 'x'\n", "line [12], .*: EARN_ONLY needs a word"),
    ("[cards.bonus_server.status]\nOPEN = 'x'\n", "line 2, .*: OPEN is not a known key"),
    ("[cards.shop_all.status]\nEARN_PAY = ''\n", "line 2, .*: '' must be 1 to"),
    (
        "[cards.shop_all.status]\nEARN_PAY = 'x'\nPAY_ONLY = 'x'\n",
        "line 3, .*: 'x' is already the word of another status",
    ),
    (
        "[cards.shop_all]\ntable = 'x'\n[balances.shop_all]\ntable = 'x'\n",
        "line [24], .*: x can't be the table of",
    ),
    (
        "[cards.shop_all]\ntable = 'accountpincodeTemp'\n",
        "line 2, .*: accountpincodeTemp can't be the table of",
    ),
    (
        "[cards.shop_all]\ntable = 'public.accountpincodeTemp'\n",
        "line 2, .*: public.accountpincodeTemp can't be the table of",
    ),
    ("servers = 1\n", "line 1: servers has to be a table"),
    ("[servers]\n'Server 9' = 1\n", r"line 2, section \[servers\]: Server 9 has to be a table"),
    (
        "[servers.'Server 9'.card]\n",
        r'line 1, section \[servers."Server 9".card\]: card is not a known key here. Possible keys',
    ),
    (
        "[servers.'Server 9'.cards.shop_all]\ntable = 'x'\n",
        r"line [12], section \[servers.\"Server 9\".cards.shop_all\]: A server's section maps the",
    ),
    (
        "[cards.bonus_server.columns]\nstatus = 's'\n[servers.x.cards.columns]\ncard = 's'\n",
        r"line [34], section \[servers.x.cards.columns\]: The column s has another meaning",
    ),
    (
        "[cards.bonus_server.fixed]\nn = 1\n[servers.x.cards.columns]\ncard = 'n'\n",
        r"line [34], section \[servers.x.cards.*\]: The column n has another meaning already",
    ),
]


@pytest.mark.parametrize(("text", "sentence"), WRONG)
def test_an_error_in_the_file_is_told_with_its_line(tmp_path, text, sentence):
    with pytest.raises(TablesRefused, match=sentence):
        read(tmp_path, text)


def test_a_file_that_is_not_there_or_no_text_is_told(tmp_path):
    with pytest.raises(TablesRefused, match=r"none\.toml can't be read"):
        mapping.read(str(tmp_path / "none.toml"))
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(TablesRefused, match=r"bytes\.toml can't be read"):
        mapping.read(str(tmp_path / "bytes.toml"))


def test_the_examples_of_both_papers_are_the_same_file_and_can_be_read(tmp_path):
    examples = [
        re.search(
            r"```toml\n(.+?)```", (ROOT / f"docs/{language}/tables.md").read_text(), re.DOTALL
        )
        for language in ("en", "ru")
    ]
    english, russian = (tomllib.loads(found[1]) for found in examples)
    assert english == russian
    kinds = read(tmp_path, examples[0][1]).common
    assert kinds["balances"].bonus_server.fixed == {"assetGroupId": 1, "lastStatus": "ACTIVE"}


def test_an_empty_file_leaves_our_own_names(tmp_path):
    tables = read(tmp_path, "")
    for kinds in (tables.shop_all, tables.common, tables.of("Server 9")):
        for name, kind in KINDS.items():
            assert vars(kinds[name].shop_all) == vars(kind.shop_all)
            assert vars(kinds[name].bonus_server) == vars(kind.bonus_server)
            assert kinds[name].checks == kind.checks


@pytest.mark.parametrize("language", ["en", "ru"])
def test_the_papers_list_the_tables_of_every_kind(language):
    paper = (ROOT / f"docs/{language}/tables.md").read_text()
    for kind in KINDS.values():
        columns = ", ".join(f"`{name}`" for name in kind.names)
        tables = f"`{kind.staging}` → `{kind.target}`"
        line = f"| `{kind.name}` | {tables} | {columns} | `{kind.stamps.name}` |"
        assert line in paper.splitlines()
