"""Every component on one page: what the tests look at and axe walks over."""

from datetime import date, timedelta
from decimal import Decimal
from types import SimpleNamespace

import django_filters
import django_tables2 as tables
import psycopg2
from django import forms
from django.contrib import messages
from django.db import connection
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import path
from django.utils import timezone
from django.utils.safestring import mark_safe

from transfer import urls as product
from transfer.models import TransferRun
from transfer.models.runs import State
from transfer.pages.filters import DateFilter, FilterSet
from transfer.pages.parts.confirmation import Confirmation, ask_to_confirm
from transfer.pages.shown.charts import Series, StackedBars
from transfer.pages.tables import (
    AmountColumn,
    DurationColumn,
    MomentColumn,
    NumberColumn,
    StateColumn,
    Table,
)
from transfer.text import formats

handler400, handler500 = product.handler400, product.handler500


class Runs(Table):
    caption = "Запуски"
    kind = tables.Column("Трансфер")
    state = StateColumn()
    started_at = MomentColumn("Начат")
    took = DurationColumn("Длился")
    read = NumberColumn("Прочитано")
    amount = AmountColumn("Сумма")

    class Meta(Table.Meta):
        order_by = "-started_at"


class RunFilter(FilterSet):
    after = DateFilter("started_at", lookup_expr="date__gte", label="С")
    state = django_filters.ChoiceFilter(choices=State, label="Состояние")

    class Meta:
        model = TransferRun
        fields = ["kind", "state", "trigger", "after"]


class Fields(forms.Form):
    name = forms.CharField(label="Название", help_text="Так сервер называется на страницах.")
    port = forms.IntegerField(label="Порт для администрирования", max_value=65535)
    note = forms.CharField(label="Примечание", widget=forms.Textarea, required=False)
    kind = forms.ChoiceField(label="Трансфер", choices=[("a", "Пин-коды"), ("b", "Балансы")])
    every = forms.ChoiceField(
        label="Когда", choices=[("h", "Каждый час"), ("d", "Каждый день")], widget=forms.RadioSelect
    )
    show = forms.BooleanField(
        label="Включение отображения задач трансфера в планировщике",
        help_text="Выключенные задачи видны всё равно.",
        required=False,
    )


def table_rows() -> list[SimpleNamespace]:
    now = timezone.now()
    return [
        SimpleNamespace(
            kind=["Пин-коды", "Изменения баланса", "Привязки и статусы карт"][index % 3],
            state=list(State)[index % len(State)],
            started_at=now - timedelta(hours=7 * index),
            took=0.4 * 3.1 ** (index % 9),
            read=1234567 // (index + 1),
            amount=Decimal("98765.43") * (-1) ** index,
        )
        for index in range(130)
    ]


def days() -> StackedBars:
    count = 30
    first = date(2026, 11, 1)
    return StackedBars(
        title="Строки по дням",
        labels=[formats.day(first + timedelta(days=index)) for index in range(count)],
        series=[
            Series("Применено", "ok", [(index * 7919) % 40000 for index in range(count)]),
            Series("Без изменений", "idle", [(index * 104729) % 9000 for index in range(count)]),
            Series("Отклонено", "warn", [(index * 31) % 500 for index in range(count)]),
        ],
        urls=[f"?day={index}" for index in range(count)],
    )


def gallery(request: HttpRequest) -> HttpResponse:
    for level in (messages.success, messages.info, messages.warning, messages.error):
        level(request, "Задача «Пин-коды → Бонусный сервер 8» включена. 412 строк ждут.")
    context = {
        "table": Runs(table_rows()).paged(request),
        "filter": RunFilter(request.GET, TransferRun.objects.all()),
        "form": Fields({"name": "", "port": 99999, "kind": "b", "every": "h"}),
        "states": list(State),
        "chart": days(),
        "now": timezone.now(),
    }
    return render(request, "gallery.html", context)


def confirm(request: HttpRequest) -> HttpResponse:
    confirmation = Confirmation(
        title="Отстыковать бонусный сервер 8?",
        text="Его задачи и их расписание будут удалены.",
        points=["История останется.", "412 строк больше не будут перенесены."],
        action="Отстыковать",
        back="/gallery/",
        danger=True,
    )
    return ask_to_confirm(request, confirmation)


LIVE = """<section id="live" hx-get="/gallery/live/part/" hx-trigger="poll" hx-swap="outerHTML"
  data-poll="0.2"><output>{}</output><details id="fold"><summary>Ещё</summary>Текст</details>
  <input id="note" aria-label="Заметка"><a href="/gallery/">К деталям</a></section>"""
SLOW = """<section id="slow" hx-get="/gallery/live/slow/" hx-trigger="poll" hx-swap="outerHTML"
  data-poll="0.7"><b>{}</b></section>"""


def live(request: HttpRequest) -> HttpResponse:
    part = LIVE.format(0) + SLOW.format("ждёт")
    return render(request, "live.html", {"part": mark_safe(part)})


def live_slow(request: HttpRequest) -> HttpResponse:
    return HttpResponse(SLOW.format("спрошено"))


def live_part(request: HttpRequest) -> HttpResponse:
    live_part.asked += 1
    return HttpResponse(LIVE.format(live_part.asked))


live_part.asked = 0


def broken(request: HttpRequest) -> HttpResponse:
    raise RuntimeError("broken on purpose")


def unreachable(request: HttpRequest) -> HttpResponse:
    with connection.wrap_database_errors:
        psycopg2.connect("host=127.0.0.1 port=1 user=nobody")
    return HttpResponse("somebody answers there")


urlpatterns = [
    *product.urlpatterns,
    path("gallery/", gallery),
    path("gallery/confirm/", confirm),
    path("gallery/live/", live),
    path("gallery/live/part/", live_part),
    path("gallery/live/slow/", live_slow),
    path("broken/", broken),
    path("unreachable/", unreachable),
]
