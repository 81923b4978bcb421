"""A file of registers and shops: read, compared with what is there, applied as a whole."""

import csv
import io
from dataclasses import dataclass, field
from typing import Any

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils.translation import gettext as _

from transfer.models import CashRegister, Shop

LARGEST = 2 * 1024 * 1024
MOST_LINES = 50_000
# Column → the headings that name it, as our own export writes them and as people do.
HEADINGS = {
    "shop": ("shop", "shop code", "магазин", "код магазина", "номер магазина"),
    "shop_name": ("shop name", "название магазина"),
    "code": ("code", "register", "register code", "код", "касса", "код кассы", "номер кассы"),
    "name": ("name", "register name", "название", "название кассы"),
    "mothballed": ("mothballed", "консервация", "в консервации"),
}
YES = {"1", "yes", "true", "да", "x", "х", "+"}
NO = {"", "0", "no", "false", "нет", "-"}


class FileUnreadable(Exception):
    """The message says why, in the user's language."""


@dataclass
class Line:
    number: int
    shop: str
    shop_name: str
    code: str
    name: str
    mothballed: bool
    problem: str = ""
    kind: str = "same"  # new, changed, same
    changes: list[str] = field(default_factory=list)


@dataclass
class Plan:
    """What a file would do."""

    lines: list[Line]
    has: set[str]
    unread: list[str]  # headings of columns that say nothing here
    new_shops: list[str] = field(default_factory=list)

    def of(self, kind: str) -> list[Line]:
        return [line for line in self.lines if line.kind == kind and not line.problem]

    @property
    def new(self) -> list[Line]:
        return self.of("new")

    @property
    def changed(self) -> list[Line]:
        return self.of("changed")

    @property
    def same(self) -> list[Line]:
        return self.of("same")

    @property
    def bad(self) -> list[Line]:
        return [line for line in self.lines if line.problem]

    @property
    def telling(self) -> list[Line]:
        """What has to be looked at, the bad ones first."""
        return [*self.bad, *self.changed, *self.new]


def decoded(content: bytes) -> str:
    """UTF-8, else what a Russian Excel writes. Raises FileUnreadable."""
    if content[:2] == b"PK" or b"\0" in content:
        raise FileUnreadable(_("This is no CSV file. In Excel: Save as, CSV UTF-8."))
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = content.decode("cp1251", errors="replace")
    if len(text.encode()) > LARGEST:  # it comes back with the confirmation
        raise FileUnreadable(_("The file is larger than 2 MB, counted as UTF-8. Split it."))
    return text


def read(text: str) -> Plan:
    """Raises FileUnreadable when it is no table of registers."""
    try:
        rows = list(csv.reader(io.StringIO(text), delimiter=_delimiter(text)))
    except csv.Error:
        raise FileUnreadable(
            _("The file is no CSV: a quotation mark that opens a cell is never closed.")
        ) from None
    if len(rows) > MOST_LINES:
        raise FileUnreadable(_("The file has more than 50,000 lines."))
    if not rows:
        raise FileUnreadable(_("The file is empty."))
    columns = _columns(rows[0])
    filled = [(number, row) for number, row in enumerate(rows[1:], 2) if any(map(str.strip, row))]
    if not filled:
        raise FileUnreadable(_("Below its headings the file is empty."))
    lines = [_line(number, row, columns) for number, row in filled]
    positions = set(columns.values())
    unread = [one for position, one in enumerate(rows[0]) if position not in positions and one]
    plan = Plan(lines, set(columns), unread)
    _compare(plan)
    return plan


def _delimiter(text: str) -> str:
    first = text.split("\n", 1)[0]
    return max(";,\t", key=first.count)


def _columns(headings: list[str]) -> dict[str, int]:
    found = {}
    for position, heading in enumerate(headings):
        plain = heading.strip().strip("\ufeff").lower().replace("’", "").replace("_", " ")
        plain = plain.replace("registers name", "register name").replace("shops name", "shop name")
        for column, names in HEADINGS.items():
            if plain in names and column not in found:
                found[column] = position
    missing = {"shop": _("Shop"), "code": _("Code")}.items()
    lacking = [str(title) for column, title in missing if column not in found]
    if lacking:
        raise FileUnreadable(
            _("In the first line these headings are missing: %(missing)s.")
            % {"missing": ", ".join(lacking)}
        )
    return found


def _line(number: int, row: list[str], columns: dict[str, int]) -> Line:
    def cell(column: str) -> str:
        position = columns.get(column)
        return row[position].strip() if position is not None and position < len(row) else ""

    said = cell("mothballed").lower()
    line = Line(number, cell("shop"), cell("shop_name"), cell("code"), cell("name"), said in YES)
    if said not in YES | NO:
        line.problem = _("Mothballed is neither yes nor no.")
    return line


def _compare(plan: Plan) -> None:
    """Fills in what each line would do. A handful of queries, however long the file is."""
    shops = {shop.code: shop for shop in Shop.objects.all()}
    registers = {one.code: one for one in CashRegister.objects.select_related("shop")}
    seen: dict[str, int] = {}
    named: dict[str, Line] = {}
    for line in plan.lines:
        line.name = line.name or (
            registers[line.code].name if line.code in registers else line.code
        )
        line.problem = line.problem or _problem(line, seen) or _other_name(line, named)
        seen.setdefault(line.code, line.number)
        if line.problem:
            continue
        if line.shop not in shops and line.shop not in plan.new_shops:
            plan.new_shops.append(line.shop)
        _decide(plan, line, registers.get(line.code), shops.get(line.shop))


def _problem(line: Line, seen: dict[str, int]) -> str:
    if not line.shop or not line.code:
        return _("The shop or the code of the register is missing.")
    if line.code in seen:
        return _("The code stands in line %(line)s already.") % {"line": seen[line.code]}
    try:
        Shop(code=line.shop, name=line.shop_name).clean_fields()
        CashRegister(code=line.code, name=line.name).clean_fields(exclude=["shop"])
    except ValidationError as error:
        return " ".join(error.messages)
    return ""


def _other_name(line: Line, named: dict[str, Line]) -> str:
    """A shop has one name, whichever of its lines says it."""
    if not line.shop_name:
        return ""
    first = named.setdefault(line.shop, line)
    if first.shop_name == line.shop_name:
        return ""
    return _("The shop has another name in line %(line)s: %(name)s.") % {
        "line": first.number,
        "name": first.shop_name,
    }


def _decide(plan: Plan, line: Line, known: CashRegister | None, shop: Shop | None) -> None:
    if known is None:
        line.kind = "new"
    else:
        if known.shop.code != line.shop:
            line.changes.append(
                _("shop: %(old)s → %(new)s") % {"old": known.shop, "new": line.shop}
            )
        if "name" in plan.has and known.name != line.name:
            line.changes.append(
                _("name: %(old)s → %(new)s") % {"old": known.name, "new": line.name}
            )
        if "mothballed" in plan.has and known.mothballed != line.mothballed:
            line.changes.append(
                _("goes into mothballs") if line.mothballed else _("no longer mothballed")
            )
        else:
            line.mothballed = known.mothballed
    if shop is not None and line.shop_name and shop.name != line.shop_name:
        line.changes.append(_("the shop’s name: %(new)s") % {"new": line.shop_name})
    if known is not None:
        line.kind = "changed" if line.changes else "same"


@transaction.atomic
def apply(plan: Plan) -> None:
    """All of it or nothing; the caller has seen to it that no line is bad."""
    names = {line.shop: line.shop_name for line in plan.lines if line.shop_name}
    codes = dict.fromkeys(line.shop for line in plan.lines)
    existing = set(Shop.objects.filter(code__in=codes).values_list("code", flat=True))
    Shop.objects.bulk_create(
        [Shop(code=code, name=names.get(code, "")) for code in codes if code not in existing]
    )
    if names:
        named = list(Shop.objects.filter(code__in=names))
        for shop in named:
            shop.name = names[shop.code]
        Shop.objects.bulk_update(named, ["name"], batch_size=500)
    shops = Shop.objects.in_bulk(list(codes), field_name="code")
    registers: list[Any] = [
        CashRegister(
            code=line.code, name=line.name, shop=shops[line.shop], mothballed=line.mothballed
        )
        for line in [*plan.new, *plan.changed]
    ]
    CashRegister.objects.bulk_create(
        registers,
        update_conflicts=True,
        unique_fields=["code"],
        update_fields=["name", "shop", "mothballed"],
        batch_size=2000,
    )
