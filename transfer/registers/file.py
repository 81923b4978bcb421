"""Reads a file of registers and shops, compares it with the present ones, and applies it."""

import io
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils.translation import gettext as _

from transfer.causes.catalogue import CATALOGUE
from transfer.causes.files import COLUMNS_MISSING, FILE_TOO_LARGE, FILE_WITHOUT_ROWS, TOO_MANY_LINES
from transfer.errors import FileRefused
from transfer.loading.file_formats import detect, is_blank, rows_of
from transfer.loading.headings import missing
from transfer.loading.lines import cell_at
from transfer.loading.receive import Utf8
from transfer.loading.values import remark
from transfer.models import BonusServer, CashRegister, Shop
from transfer.parties import gettext_noop
from transfer.text.explain import explain

LARGEST = 2 << 20
MOST_LINES = 50_000
YES = {"1", "yes", "true", "да", "x", "х", "+"}
NO = {"", "0", "no", "false", "нет", "-"}


class Registers:
    """The columns of such a file."""

    title = gettext_noop("Cash registers")
    names = ("shop", "shop_name", "code", "name", "mothballed")
    needed = (("shop",), ("code",))
    secrets: frozenset[str] = frozenset()


@dataclass
class RegisterLine:
    number: int
    shop: str
    shop_name: str
    code: str
    name: str
    mothballed: bool
    problem: str = ""
    is_new: bool = False
    changes: list[str] = field(default_factory=list)


@dataclass
class Plan:
    """What a file would do."""

    lines: list[RegisterLine]
    columns: set[str]  # those that the file has
    ignored: list[str]  # headings of columns that nothing is read from
    new_shops: list[str] = field(default_factory=list)

    @property
    def good(self) -> list[RegisterLine]:
        return [line for line in self.lines if not line.problem]

    @property
    def new(self) -> list[RegisterLine]:
        return [line for line in self.good if line.is_new]

    @property
    def changed(self) -> list[RegisterLine]:
        return [line for line in self.good if line.changes and not line.is_new]

    @property
    def same(self) -> list[RegisterLine]:
        return [line for line in self.good if not line.changes and not line.is_new]

    @property
    def bad(self) -> list[RegisterLine]:
        return [line for line in self.lines if line.problem]

    @property
    def notable(self) -> list[RegisterLine]:
        """What has to be looked at, the bad lines first."""
        return [*self.bad, *self.changed, *self.new]


def read(content: bytes) -> Plan:
    """What the file would do. Raises FileRefused when it is no table of registers."""
    if len(content) > LARGEST:
        raise FileRefused(FILE_TOO_LARGE, most=LARGEST >> 20)
    text = Utf8()
    text.feed(content)
    layout = detect(
        Registers(),
        lambda: io.BytesIO(content),
        is_utf8=text.ends_well(),
        chosen={},
        known=set(BonusServer.objects.values_list("name", flat=True)),  # of an exported list
    )
    if missing(Registers(), layout.columns):
        raise FileRefused(COLUMNS_MISSING, columns=f"{_('Shop')}, {_('Code')}")
    rows = rows_of(io.BytesIO(content), layout)
    filled = (row for row in rows if row[0] > layout.header and not all(map(is_blank, row[1])))
    lines = [_line(*row, layout.columns) for row in islice(filled, MOST_LINES + 1)]
    if not lines:
        raise FileRefused(FILE_WITHOUT_ROWS)
    if len(lines) > MOST_LINES:
        raise FileRefused(TOO_MANY_LINES)
    plan = Plan(lines, set(layout.columns), layout.ignored)
    _compare(plan)
    return plan


def _line(number: int, cells: list[Any], columns: dict[str, int]) -> RegisterLine:
    # A code is free text, and keeps a ".0" at its end: 10.0 is no amount.
    read = {name: remark(cell_at(columns.get(name), cells)) for name in Registers.names}
    values: dict[str, Any] = {name: value or "" for name, (value, _fault) in read.items()}
    mothballed = values.pop("mothballed").lower()
    line = RegisterLine(number, **values, mothballed=mothballed in YES)
    if fault := next((fault for _value, fault in read.values() if fault), ""):
        line.problem = " ".join(explain(CATALOGUE[fault]))
    elif mothballed not in YES | NO:
        line.problem = _("“Out of service” is neither yes nor no.")
    return line


def _compare(plan: Plan) -> None:
    """Fills in what each line would do. Two queries, however long the file is."""
    shops = {shop.code: shop for shop in Shop.objects.all()}
    registers = {one.code: one for one in CashRegister.objects.select_related("shop")}
    first_lines: dict[str, int] = {}
    named: dict[str, RegisterLine] = {}
    for line in plan.lines:
        register, shop = registers.get(line.code), shops.get(line.shop)
        line.name = line.name or (register.name if register else line.code)
        line.problem = line.problem or _problem(line, first_lines) or _other_name(line, named)
        first_lines.setdefault(line.code, line.number)
        if line.problem:
            continue
        if shop is None and line.shop not in plan.new_shops:
            plan.new_shops.append(line.shop)
        line.is_new = register is None
        if register and "mothballed" not in plan.columns:
            line.mothballed = register.mothballed
        line.changes = list(_changes(plan, line, register, shop))


def _problem(line: RegisterLine, first_lines: dict[str, int]) -> str:
    if not line.shop or not line.code:
        return _("The shop or the code of the register is missing.")
    if line.code in first_lines:
        return _("The code is already in line %(line)s.") % {"line": first_lines[line.code]}
    try:
        Shop(code=line.shop, name=line.shop_name).clean_fields()
        CashRegister(code=line.code, name=line.name).clean_fields(exclude=["shop"])
    except ValidationError as error:
        return " ".join(error.messages)
    return ""


def _other_name(line: RegisterLine, named: dict[str, RegisterLine]) -> str:
    """The error if another line gives the shop another name, or empty."""
    first = named.setdefault(line.shop, line) if line.shop_name else line
    if first.shop_name == line.shop_name:
        return ""
    return _("The shop has another name in line %(line)s: %(name)s.") % {
        "line": first.number,
        "name": first.shop_name,
    }


def _changes(
    plan: Plan, line: RegisterLine, register: CashRegister | None, shop: Shop | None
) -> Iterator[str]:
    """The changes to an existing register and shop."""
    if register and register.shop.code != line.shop:
        yield _("shop: %(old)s → %(new)s") % {"old": register.shop, "new": line.shop}
    if register and "name" in plan.columns and register.name != line.name:
        yield _("name: %(old)s → %(new)s") % {"old": register.name, "new": line.name}
    if register and register.mothballed != line.mothballed:
        yield _("out of service") if line.mothballed else _("back in service")
    if shop and line.shop_name and shop.name != line.shop_name:
        yield _("the shop’s name: %(new)s") % {"new": line.shop_name}


@transaction.atomic
def apply(plan: Plan) -> None:
    """Applies all of it or nothing; the caller has seen to it that no line is bad."""
    names = {line.shop: line.shop_name for line in plan.lines if line.shop_name}
    codes = dict.fromkeys(line.shop for line in plan.lines)
    Shop.objects.bulk_create(
        [Shop(code=code, name=name) for code, name in names.items()],
        update_conflicts=True,
        unique_fields=["code"],
        update_fields=["name"],
        batch_size=2000,
    )
    Shop.objects.bulk_create([Shop(code=code) for code in codes], ignore_conflicts=True)
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
