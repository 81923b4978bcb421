"""The signed file: what is changed, or missing in the chain, is found."""

import json
import stat
from collections.abc import Sequence
from itertools import combinations

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from hypothesis import given, strategies as st

from transfer.errors import TransferError
from transfer.statements.document import (
    Document,
    digest_of,
    missing_in,
    proven_by,
    read_key,
    signed,
    write_new_key,
)

KEY = Ed25519PrivateKey.generate()


def chain(last: int, key: Ed25519PrivateKey = KEY, after: Sequence[bytes] = ()) -> list[bytes]:
    """Return the files of statements that follow each other, and those before them."""
    files = []
    previous = digest_of(json.loads(after[-1])["statement"]) if after else None
    for number in range(len(after) + 1, last + 1):
        content = {
            "number": number,
            "previous": previous,
            "installation": "1",
            "kinds": [{"rows": number, "amount": "5.00"}],
            "server": "Бонусный сервер 8",
        }
        files.append(signed(content, key).encode())
        previous = digest_of(json.loads(files[-1])["statement"])
    return files


FILES = chain(6)
# What a byte could become without a change of what JSON says.
LIKELY = {*b' \n\t0aAfF"\\'}


def test_a_file_of_which_any_byte_is_another_or_is_missing_is_no_statement():
    file = FILES[1]
    assert Document.read(file)
    for place in range(len(file)):
        before, after = file[:place], file[place + 1 :]
        assert Document.read(before + after) is None
        for byte in {file[place] ^ 1 << bit for bit in range(8)} | LIKELY - {file[place]}:
            assert Document.read(before + bytes([byte]) + after) is None


@given(st.integers(0, len(FILES[1])), st.binary(min_size=1, max_size=3))
def test_a_file_with_any_byte_more_is_no_statement(place, more):
    data = FILES[1][:place] + more + FILES[1][place:]
    assert data == FILES[1] or Document.read(data) is None


def test_no_space_or_digit_can_be_there_more_at_any_place():
    """JSON would say the same with other spaces, or zeros behind a point."""
    file = FILES[1]
    for place in range(len(file) + 1):
        for more in (b" ", b"\n", b"\t", b"0"):
            assert Document.read(file[:place] + more + file[place:]) is None


@given(st.integers(0, len(FILES[1]) - 1))
def test_a_file_that_ends_too_early_is_no_statement(length):
    assert Document.read(FILES[1][:length]) is None


@pytest.mark.parametrize("length", range(2, len(FILES) + 1))
def test_any_statements_that_are_missing_in_a_chain_are_named(length):
    for chosen in combinations(range(len(FILES)), length):
        found = [Document.read(FILES[place]) for place in chosen]
        lacking = [n + 1 for n in range(chosen[0], chosen[-1]) if n not in chosen]
        assert missing_in(found) == lacking
        assert missing_in(found[::-1]) == lacking


def test_a_statement_that_was_made_again_does_not_fit_the_next_one():
    forged = json.loads(FILES[2])["statement"] | {"server": "another"}
    again = Document.read(signed(forged, KEY).encode())
    assert missing_in([Document.read(FILES[1]), again, Document.read(FILES[3])]) == [4]


def test_a_key_proves_what_it_has_signed_and_what_that_names_and_nothing_else():
    """The key was changed after the third statement. Another has made a chain of his own."""
    old = chain(3)
    new = chain(5, Ed25519PrivateKey.generate(), after=old)
    others = [Document.read(file) for file in chain(4, Ed25519PrivateKey.generate())]
    documents = [Document.read(file) for file in [*old, *new]]
    key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(documents[4].content["public_key"]))
    assert proven_by(key, [*documents, *others]) == documents
    assert missing_in(documents) == []
    assert proven_by(KEY.public_key(), documents) == proven_by(None, documents) == documents[:3]
    without_the_fourth = [*documents[:3], documents[4]]
    assert proven_by(key, without_the_fourth) == [documents[4]]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
def test_a_key_that_others_may_read_is_refused(tmp_path, mode):
    file = tmp_path / "key.pem"
    write_new_key(str(file))
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert read_key(str(file))
    file.chmod(mode)
    with pytest.raises(TransferError) as refused:
        read_key(str(file))
    assert refused.value.code == "key_open"


@pytest.mark.parametrize("content", [b"", b"no key", b"\xff\x00"])
def test_a_file_without_a_key_is_refused(tmp_path, content):
    file = tmp_path / "key.pem"
    file.write_bytes(content)
    file.chmod(0o600)
    with pytest.raises(TransferError) as refused:
        read_key(str(file))
    assert refused.value.code == "key_invalid"
