"""Any upload gets a preview or a clear error, and never a partial load."""

from collections.abc import Callable

import pytest
from django.test import Client
from django.urls import reverse
from hypothesis import HealthCheck, given, settings, strategies as st

from tests.records import user
from tests.uploads import workbook
from transfer.causes.catalogue import CATALOGUE
from transfer.engine.kinds import KINDS
from transfer.loading.report import warning
from transfer.models import Upload
from transfer.text.explain import explain

State = Upload.State
HEADINGS = st.sampled_from(
    ["account", "Счёт", "Сумма", "pin", "card", "Статус", "validto", "x", ""]
)
CELLS = st.one_of(
    st.text(max_size=12),
    st.sampled_from(
        ["4100", "1 234,50", "31.12.2026", "4,1E+15", "Итого", "=1+1", '"', "\x00", "2"]
    ),
    st.integers(-(10**18), 10**18).map(str),
    st.floats().map(str),
)
ROWS = st.lists(st.lists(CELLS, max_size=5), max_size=8)
LIKE_CSV = st.builds(
    lambda head, rows, mark, encoding: "\n".join(mark.join(r) for r in [head, *rows]).encode(
        encoding, "replace"
    ),
    st.lists(HEADINGS, max_size=5),
    ROWS,
    st.sampled_from([";", ",", "\t"]),
    st.sampled_from(["utf-8", "utf-8-sig", "cp1251", "utf-16"]),
)
BEGINNINGS = st.sampled_from(
    [b"", b"PK\x03\x04", b"\xff\xfe", b"\xef\xbb\xbf", b"MZ", b"account;amount\n"]
)
BYTES = st.builds(lambda start, rest: start + rest, BEGINNINGS, st.binary(max_size=300))
FINE = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]


@pytest.fixture
def look(client: Client) -> Callable[[Upload], None]:
    """Opens everything that the pages show of a file."""
    client.force_login(user("operator"))

    def look(upload: Upload) -> None:
        addresses = [reverse("upload", args=[upload.pk]), reverse("loads")]
        addresses += [
            reverse("upload_bad_lines", args=[upload.pk, form]) for form in ("csv", "xlsx")
        ]
        for address in addresses:
            response = client.get(address)
            assert response.status_code == 200
            b"".join(response)  # a file is written only now

    return look


def is_answered(upload: Upload) -> None:
    assert upload.error_code != "unexpected"
    assert upload.state in (State.READY, State.COLUMNS, State.REFUSED)
    if upload.state == State.REFUSED:
        assert all(upload.explained)
    for line in upload.bad_lines.all():
        assert explain(CATALOGUE[line.code]).sentence
    for code, params in upload.report.get("warnings", []):
        assert warning(code, params)


@settings(max_examples=30, deadline=None, suppress_health_check=FINE)
@given(kind=st.sampled_from(list(KINDS)), content=st.one_of(BYTES, LIKE_CSV).filter(len))
@pytest.mark.long
def test_any_bytes_are_answered_and_load_nothing_by_themselves(check, look, staged, kind, content):
    upload = check(kind, content)
    is_answered(upload)
    look(upload)
    assert staged(kind) == []


@settings(max_examples=30, deadline=None, suppress_health_check=FINE)
@given(kind=st.sampled_from(list(KINDS)), content=LIKE_CSV.filter(len), data=st.data())
@pytest.mark.long
def test_columns_chosen_by_hand_load_all_good_lines_or_none(
    check, staged, olga, kind, content, data
):
    from transfer.loading import upload_job

    names = [column.name for column in KINDS[kind].columns]
    places = data.draw(st.permutations(range(5)))
    upload = check(kind, content, header=0, columns=dict(zip(names, places, strict=False)))
    is_answered(upload)
    before = len(staged(kind))
    if upload.state == State.READY and upload.good:
        upload.confirm(olga)
        upload_job.go_on(upload)
        assert upload.state == State.LOADED
        assert len(staged(kind)) - before == upload.good


@settings(max_examples=8, deadline=None, suppress_health_check=FINE)
@given(rows=ROWS, cut=st.integers(0, 400))
@pytest.mark.long
def test_any_workbook_whole_or_cut_is_answered(check, rows, cut):
    content = workbook([["account", "amount"], *rows])
    is_answered(check("balances", content, name="a.xlsx"))
    if cut:
        is_answered(check("balances", content[: len(content) - cut], name="a.xlsx"))


@settings(max_examples=8, deadline=None, suppress_health_check=FINE)
@given(rows=st.lists(st.lists(CELLS, min_size=2, max_size=5), min_size=1, max_size=8))
@pytest.mark.long
def test_whatever_the_cells_no_bad_line_is_good_by_itself(check, download, rows):
    head = ["account", "amount", "validfrom", "validto", "comment"]
    upload = check("balances", workbook([head, *rows]), name="a.xlsx")
    if upload.bad:
        again = check("balances", download(upload), name="bad.csv")
        assert (again.good, again.bad) == (0, upload.bad)
