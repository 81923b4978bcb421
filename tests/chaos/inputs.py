"""Requests of an attacker or of a user who makes mistakes, drawn by hypothesis."""

import io
import json
import zipfile
from dataclasses import dataclass, field
from functools import cache
from typing import Any
from urllib.parse import parse_qsl, quote_from_bytes, urlsplit

from hypothesis import strategies as st

from tests.chaos.pages import Address, Form
from tests.uploads import workbook
from transfer.engine.kinds import KINDS
from transfer.loading.headings import HEADINGS

MARK = "<fuzz-mark>"  # in a page it must not stand like this
NASTY = [
    *("", " ", "\0", "a\0b", "\r\nSet-Cookie: fuzz=1", "\ud800", "\ufeff", "\u202egnp", "е\u0308"),
    *(MARK, f'"{MARK}', f"'>{MARK}", "{{ 7|add:7 }}", "{% debug %}", "%s%n", "${7*7}", "=1+1", "%"),
    *("'", "'; drop table x --", "\\", "\\x00", "../../../etc/passwd", "null", "[]", "{}", "[[[["),
    *("//evil.example", "https://evil.example/", "javascript:alert(1)", "\t//evil.example", "/\\x"),
    *("0", "-1", "-0", "00", "+1", "1_000", "1e5"),
    *("1e400", "NaN", "Infinity", "0x10", "²", "٣", "½"),
    *("2147483648", "9223372036854775808", "-9223372036854775809", "9" * 400, "0." + "9" * 400),
    *("99999999999999.99", "1,5", "1 000,00", "0.001", "true", "on", "None", "undefined"),
    *("0000-00-00", "0001-01-01", "9999-12-31", "10000-01-01", "2026-02-30", "2026-11-25"),
    *("0001-01-01T00:00", "9999-12-31T23:59:59.999999+14:00", "2026-03-29T02:30", "24:00", "23:59"),
    *("* * * * *", "*/0 * * * *", "0 0 31 2 *", "0-59/7 * * * 8", "@reboot", "* " * 5000),
    *("x" * 300, "я" * 5000, "\u0301" * 3000, "🂡" * 300, "a" * 200_000, "-" * 70, ";" * 3000),
    *("00000000-0000-0000-0000-000000000000", "Europe/Moscow"),
    *("../Europe/Moscow", "/etc/localtime"),
    *("127.0.0.1", "::1", "[::1", "localhost"),
    *("::ffff:127.0.0.1%eth0", "256.1.1.1", "http://[", "a:b"),
    *("-----BEGIN CERTIFICATE-----", "gAAAAA", "*", "%00", "a=b&c=d", "id", "-id", "password", "-"),
]  # fmt: skip
PLAUSIBLE = [
    *("1", "2", "10", "7", "10.50"),
    *("100", "4100000011", "7780000000011", "-12.5", "0,5", "Касса 10.50"),
    *("2026-11-25", "2026-11-25T12:00", "*/5 * * * *", "15 3 * * *", "olga", "o@x.example", "csv"),
    *("127.0.0.1", "http://127.0.0.1:9/", "json://127.0.0.1:9/"),
    *("reason", "cards", "balances", "page"),
    *("k7fw-qm2x-99aa", "Бонусный сервер 9", "prefer", "create", "block", "Europe/Moscow", "5432"),
]  # fmt: skip
METHODS = ["HEAD", "OPTIONS", "PUT", "PATCH", "DELETE", "TRACE", "PROPFIND", "get"]
HEADERS = [
    *("Accept", "Accept-Encoding", "Accept-Language", "Authorization", "Host", "Origin", "Referer"),
    *("HX-Request", "HX-Target", "HX-Trigger", "HX-Trigger-Name", "HX-Current-URL", "HX-Boosted"),
    *("HX-History-Restore-Request", "HX-Prompt", "HX-Current-URL-URI-AutoEncoded", "Range"),
    *("If-Modified-Since", "If-None-Match", "X-Forwarded-For", "X-Forwarded-Proto", "X-CSRFToken"),
    *("X-Forwarded-Host", "X-Request-ID"),
    *("X-HTTP-Method-Override", "User-Agent", "Content-Encoding"),
]  # fmt: skip
COOKIES = [
    *("sessionid", "csrftoken", "django_language", "timezone", "theme", "messages", "browser-1"),
    *("browser-2", "fuzz", "", "sidebar"),
]
OF_HEADERS = ["true", "gzip, br", "ru", "Bearer x", "bytes=0-5,9-", "https", "http://testserver/"]
KNOWN = ["page", "per_page", "sort", "next", "q", "state", "kind", "server", "shop", "from", "to"]

nasty = st.one_of(
    st.sampled_from(NASTY), st.sampled_from(NASTY), st.text(max_size=40), st.integers().map(str)
)
plausible = st.sampled_from(PLAUSIBLE)
text = st.one_of(nasty, plausible)
small_chance = st.integers(0, 9).map(lambda number: number == 0)


@dataclass
class Request:
    """What goes to the server."""

    method: str
    path: bytes
    query: bytes = b""
    body: bytes = b""
    content_type: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    cookies: dict[str, str] = field(default_factory=dict)
    role: str = "administrator"

    def __str__(self) -> str:
        where = f"{self.method} {self.path.decode('latin-1')}?{self.query.decode('latin-1')}"
        what = f"{self.content_type} {self.body[:2000]!r} {self.headers} {self.cookies}"
        return f"{self.role}: {where[:2000]} {what}"


def as_bytes(value: str) -> bytes:
    return value.encode("utf-8", "surrogatepass")


def encoded(pairs: list[tuple[str, str]]) -> bytes:
    quoted = (f"{quote_from_bytes(as_bytes(n))}={quote_from_bytes(as_bytes(v))}" for n, v in pairs)
    return "&".join(quoted).encode()


@st.composite
def forms_of(draw: Any, address: Address, known: dict[str, list[str]]) -> Form:
    """The address with its gaps filled, rightly or not."""
    filled = {}
    for gap in address.gaps:
        right = st.sampled_from(known.get(gap, ["1"]))
        filled[gap] = draw(st.one_of(right, right, right, right, nasty))
    return Form(address.text % filled, draw(st.sampled_from(["get", "get", "post"])))


@st.composite
def requests_to(draw: Any, form: Form) -> Request:
    """A form as a browser sends it: mostly as meant, with some wrong fields, headers or cookies."""
    parts = urlsplit(form.action.replace("[", "%5B"))
    given = parse_qsl(parts.query, keep_blank_values=True)
    spoilt = draw(st.sampled_from([0, 1, 1, 1, 2, 3, 99]))
    names = draw(st.permutations(list(form.fields))) if len(form.fields) < 30 else [*form.fields]
    pairs = [
        pair
        for at, name in enumerate(names)
        for pair in draw(filled(name, form.fields[name], spoilt=at < spoilt))
    ]
    if draw(small_chance):
        pairs.append((draw(st.one_of(st.sampled_from(KNOWN), nasty)), draw(text)))
    request = Request(form.method.upper(), as_bytes(parts.path))
    if draw(small_chance):
        request.method = draw(st.sampled_from(METHODS))
    if form.method == "get":
        request.query = encoded([*given, *pairs])
    else:
        request.query = encoded(given)
        draw(body(request, pairs, form.files))
    draw(around(request))
    return request


@st.composite
def filled(draw: Any, name: str, offered: list[str], *, spoilt: bool) -> list[tuple[str, str]]:
    if not spoilt:
        return [(name, draw(st.sampled_from(offered)) if any(offered) else draw(plausible))]
    return [(name, value) for value in draw(st.lists(text, max_size=2))]


@st.composite
def body(draw: Any, request: Request, pairs: list[tuple[str, str]], files: set[str]) -> None:
    way = draw(st.integers(0, 19))
    if way == 0:
        request.content_type = draw(st.one_of(st.sampled_from(TYPES), nasty))
        request.body = draw(st.one_of(st.binary(max_size=200), st.sampled_from(BODIES)))
    elif files or way == 1:
        request.content_type = f"multipart/form-data; boundary={BOUNDARY}"
        sent = [(name, draw(file_names), draw(contents())) for name in files]
        request.body = multipart(pairs, sent)
        if draw(small_chance):
            request.body = draw(mangled(request.body))
    else:
        request.content_type = "application/x-www-form-urlencoded"
        request.body = encoded(pairs)


BOUNDARY = "fuzz-boundary"
TYPES = [
    *("application/json", "text/plain", "multipart/form-data", "multipart/form-data; boundary="),
    "application/x-www-form-urlencoded; charset=utf-16",
    "application/x-www-form-urlencoded; charset=fuzz",
    f"multipart/form-data; boundary={BOUNDARY}; charset=cp1251",
    "multipart/form-data; boundary=" + "x" * 300,
]
BODIES = [
    *(b"", b"%", b"&&&==", b"a=%ff%fe", b"{", b"[" * 5000, b"a=1&" * 2000, b"x" * 300_000),
    f"--{BOUNDARY}\r\nContent-Disposition: form-data; name=a\r\n".encode(),
    f"--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"file\"; filename*=utf-8''%ff\r\n"
    f"Content-Transfer-Encoding: base64\r\n\r\n!!!!\r\n--{BOUNDARY}--".encode(),
]
file_names = st.one_of(
    st.sampled_from(["a.csv", "a.xlsx", "A.XLSM", "карты.csv", "a.txt", "a", ".csv"]), nasty
)


def multipart(pairs: list[tuple[str, str]], files: list[tuple[str, str, bytes]]) -> bytes:
    def quoted(value: str) -> bytes:
        return b'"' + as_bytes(value).replace(b'"', b"%22").replace(b"\r\n", b"%0D%0A") + b'"'

    start = f"--{BOUNDARY}\r\nContent-Disposition: form-data; name=".encode()
    parts = [start + quoted(name) + b"\r\n\r\n" + as_bytes(value) for name, value in pairs]
    parts += [
        start + quoted(name) + b"; filename=" + quoted(given) + b"\r\n\r\n" + content
        for name, given, content in files
    ]
    return b"\r\n".join([*parts, f"--{BOUNDARY}--\r\n".encode()])


@st.composite
def mangled(draw: Any, content: bytes) -> bytes:
    """Cut off, or with some bytes changed, doubled or put in."""
    found = bytearray(content)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(found)))
        how = draw(st.sampled_from(["cut", "put", "drop", "double"]))
        if how == "cut":
            del found[at:]
        elif how == "put":
            found[at : at + 1] = draw(st.binary(max_size=4))
        elif how == "drop":
            del found[at : at + draw(st.integers(1, 50))]
        else:
            found[at:at] = found[at : at + 60]
    return bytes(found)


@st.composite
def contents(draw: Any) -> bytes:
    """A file: a table as people write it, a workbook, or something else."""
    way = draw(st.integers(0, 9))
    if way == 0:
        return draw(st.one_of(st.binary(max_size=300), st.sampled_from(FILES)))
    if way == 1:
        return draw(mangled(draw(st.sampled_from(workbooks()))))
    rows = draw(tables())
    if way == 2:
        return workbook(rows)
    sign = draw(st.sampled_from(";;;,\t|"))
    lines = [sign.join(cell.replace("\n", " ") for cell in row) for row in rows]
    how = draw(st.sampled_from(["utf-8", "utf-8", "utf-8-sig", "cp1251", "cp866", "utf-16"]))
    written = draw(st.sampled_from(["\n", "\r\n", "\r"])).join(lines)
    content = written.encode(how, "replace")
    return draw(mangled(content)) if draw(small_chance) else content


CELLS = st.one_of(
    plausible, plausible, nasty, st.sampled_from(['"', '"a";b"', "25.11.2026", "1900"])
)
NAMES = [names.split(", ") for names in HEADINGS.values()]
REGISTERS = ("shop", "shop_name", "code", "name", "mothballed")


@st.composite
def tables(draw: Any) -> list[list[str]]:
    kind = draw(st.sampled_from([*(one.names for one in KINDS.values()), REGISTERS]))
    columns = [*kind, "reject"] if draw(small_chance) else list(kind)
    head = [draw(st.sampled_from(HEADINGS[name].split(", "))) for name in columns]
    if draw(small_chance):
        head = draw(st.lists(CELLS, max_size=6))
    rows = draw(st.lists(st.lists(CELLS, max_size=len(head) + 1), max_size=5))
    return [head, *rows] if draw(st.integers(0, 5)) else rows


@cache
def workbooks() -> list[bytes]:
    """Right ones, and zip files that are none."""
    plain = workbook([["account", "pincode"], ["4100", "1234"]])
    bomb = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(plain)) as right,
        zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as other,
    ):
        for name in right.namelist():
            content = right.read(name)
            other.writestr(name, content + b" " * 30_000_000 if "sheet1" in name else content)
    empty = io.BytesIO()
    with zipfile.ZipFile(empty, "w") as other:
        other.writestr("../../etc/passwd", "x")
    return [plain, plain, plain, bomb.getvalue(), empty.getvalue()]


FILES = [
    *(b"", b"\0", b"\xff\xfe", b"\xff\xfea"),
    *(b"\xef\xbb\xbf", b"PK\x03\x04", b'"', b"\r", b"\n" * 50),
    *(b"%PDF", b"<html>", b";" * 5000, b"a;b\n" * 5000, b"account;amount\n" + b"9" * 200_000),
    b'account;amount;comment\n1;1;"' + b"x" * 200_000,
]  # fmt: skip


@st.composite
def around(draw: Any, request: Request) -> None:
    """Who asks, and with which headers and cookies."""
    request.role = draw(st.sampled_from(["administrator"] * 7 + ["operator", "viewer", "nobody"]))
    value = st.one_of(nasty, st.sampled_from(OF_HEADERS))
    for _ in range(draw(st.sampled_from([0, 0, 0, 1, 1, 2, 4]))):
        request.headers[draw(st.sampled_from(HEADERS))] = draw(value)
    for _ in range(draw(st.sampled_from([0, 0, 0, 1, 2]))):
        request.cookies[draw(st.sampled_from(COOKIES))] = draw(value)


# --- What a bonus server may answer ---------------------------------------------------------------

TIMES = st.sampled_from(
    [
        *["2026-11-25T12:00:00+03:00", "2027-01-01T00:00:00Z"] * 8,
        *("2026-11-25T12:00:00+03:00", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"),
        *("9999-12-31T23:59:59.999999Z", "1000-01-01T00:00:00+00:00", "2026-11-25T12:00:00"),
        *("2026-W48-3T12:00:00+23:59:59", "2026-11-25", "", "now"),
    ]
)
WORDS = st.one_of(
    st.sampled_from(["10.152", "10.72", "Касса", "a", "=1+1", "x" * 200, "\ud800", MARK, "\u202e"]),
    nasty,
)
ACCOUNT = st.fixed_dictionaries(
    {
        "register": st.one_of(*[st.sampled_from(["10.152", "10.72", "10.50"])] * 5, WORDS),
        "login": st.one_of(*[st.sampled_from(["a", "b7-c", "Логин"])] * 5, WORDS),
        "created": TIMES,
        "last_seen": st.one_of(st.none(), TIMES),
        "blocked": st.booleans(),
    },
    optional={"secret": st.one_of(st.just("k7fw"), WORDS), "fuzz": WORDS},
)
ANYTHING = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), WORDS),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=5,
)
ERROR = st.fixed_dictionaries(
    {"error": st.sampled_from(["register_exists", "register_unknown", "x"]), "message": WORDS}
)
MEANT = {
    "status": st.fixed_dictionaries({"name": WORDS, "version": WORDS, "time": TIMES}),
    "accounts": st.fixed_dictionaries(
        {
            "accounts": st.lists(ACCOUNT, max_size=3),
            "next": st.one_of(*[st.none()] * 8, WORDS),
        }
    ),
    "account": st.one_of(ACCOUNT, ACCOUNT, ERROR),
}


@st.composite
def spoilt(draw: Any, told: Any) -> Any:
    """Likewise, with a value changed or removed."""
    if draw(st.integers(0, 3)) == 0:
        name = draw(st.sampled_from(sorted(told)))
        rest = {key: value for key, value in told.items() if key != name}
        return rest if draw(st.booleans()) else rest | {name: draw(ANYTHING)}
    return told


GARBAGE = [
    *(b"", b"{}", b"null", b"NaN"),
    *(b"[" * 100_000, b'{"a":' * 50_000, b"\xff\xfe\0", b'"\\ud800"', b"1" * 5000),
    b'{"accounts": [], "accounts": null, "next": 1e999}',
]  # fmt: skip


@st.composite
def replies(draw: Any, about: str) -> bytes:
    """What goes over the line in answer to one request; `about` says what was asked."""
    way = draw(st.integers(0, 19))
    if way == 0:
        return draw(st.binary(max_size=300))
    told = draw(spoilt(draw(MEANT[about])))
    content = json.dumps(told).encode() if way > 1 else draw(st.sampled_from(GARBAGE))
    status = draw(
        st.sampled_from([200] * 12 + [201, 204, 302, 304, 401, 404, 409, 500, 503, 100, 999])
    )
    head = [f"HTTP/1.1 {status} X", f"Content-Length: {len(content)}"]
    if draw(small_chance):
        head[1] = draw(st.sampled_from(ODD_HEADS))
    whole = "\r\n".join([*head, "Connection: close", "", ""]).encode() + content
    return draw(mangled(whole)) if draw(small_chance) else whole


ODD_HEADS = [
    *("Content-Length: -1", "Content-Length: 5", "Content-Length: 99999999999999999999", "X: y"),
    *("Transfer-Encoding: chunked", "Content-Encoding: gzip"),
    *("Content-Encoding: br", "Location: //x"),
    "Content-Type: application/json; charset=fuzz",
    "X: " + "y" * 70_000,
]  # fmt: skip


@st.composite
def lines(draw: Any) -> bytes:
    """Raw bytes that are sent to the port of the pages."""
    method = draw(st.sampled_from(["GET", "POST", "HEAD", "OPTIONS", "get", "\0", "GET" * 90]))
    path = draw(st.sampled_from(PATHS))
    if draw(st.booleans()):
        path += as_bytes(draw(text)).replace(b"\n", b"").replace(b" ", b"%20")
    head = [method.encode() + b" " + path + b" HTTP/1." + draw(st.sampled_from([b"1", b"0", b"9"]))]
    head += [b"Host: localhost", b"Connection: close"]
    for _ in range(draw(st.integers(0, 3))):
        name = draw(st.one_of(st.sampled_from([*HEADERS, *OF_WIRE, "Cookie"]), nasty))
        head.append(as_bytes(name) + b": " + as_bytes(draw(nasty)))
    content = draw(st.sampled_from([b"", b"a=b", b"5\r\nabcde\r\n0\r\n\r\n", b"-1\r\n"]))
    if draw(st.booleans()):
        head.append(draw(st.sampled_from([b"Transfer-Encoding: chunked", b"Content-Length: 3"])))
    whole = b"\r\n".join(head) + b"\r\n\r\n" + content
    return draw(mangled(whole)) if draw(st.booleans()) else whole


PATHS = [
    *(b"/", b"/login/", b"/static/"),
    *(b"/static/../", b"/health/live", b"/health/ready", b"/metrics"),
    *(b"/admin/", b"*", b"http://evil.example/"),
    *(b"//evil.example/", b"/static/app.css", b"/theme/"),
    *(b"/%ff", b"/\xff", b"/..%2f..%2fetc/passwd", b"/static/%2e%2e/%2e%2e/manage.py", b""),
]  # fmt: skip
OF_WIRE = ["Content-Length", "Transfer-Encoding", "Content-Type", "Expect", "Upgrade", "Connection"]
