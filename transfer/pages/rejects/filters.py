"""The filters of rejected rows."""

from typing import Any, ClassVar

import django_filters  # type: ignore[import-untyped]
from django.db.models import Q, QuerySet
from django.forms import HiddenInput
from django.http import QueryDict
from django.utils.translation import gettext as _, gettext_lazy

from transfer.causes.rows import REASONS
from transfer.models import BonusServer, RejectedRow, Upload
from transfer.models.rejects import REJECT_KEY, RejectedRowQuerySet
from transfer.models.tasks import KindChoices
from transfer.pages.filters import DayFilters
from transfer.text import formats


class RejectFilter(DayFilters):
    """Finds open rows, unless the URL asks for others."""

    moment = "created_at"
    anything: ClassVar[dict[str, str]] = {"state": "all"}
    kind = django_filters.ChoiceFilter(label=gettext_lazy("Transfer"), choices=KindChoices.choices)
    code = django_filters.ChoiceFilter(
        label=gettext_lazy("Reason"),
        choices=lambda: [(code, _(cause.sentence)) for code, cause in REASONS.items()],
    )
    server = django_filters.ModelChoiceFilter(
        label=gettext_lazy("Bonus server"), queryset=BonusServer.objects.all()
    )
    state = django_filters.ChoiceFilter(
        label=gettext_lazy("State"),
        choices=[*RejectedRow.State.choices, ("all", gettext_lazy("All"))],
        empty_label=None,
        method="filter_state",
    )
    q = django_filters.CharFilter(
        label=gettext_lazy("Account, card or row number"), method="filter_text"
    )
    run = django_filters.NumberFilter(label=gettext_lazy("Run"), widget=HiddenInput)
    load = django_filters.ModelChoiceFilter(
        label=gettext_lazy("File"),
        queryset=Upload.objects.loaded(),
        widget=HiddenInput,
        method="filter_load",
    )

    class Meta:
        model = RejectedRow
        fields = ["kind", "code", "server", "state", "q", "since", "until", "run", "load"]

    def __init__(self, data: QueryDict, queryset: QuerySet[Any] | None = None) -> None:
        asked = data.copy()
        if asked.get("state") not in {"all", *RejectedRow.State.values}:
            asked["state"] = RejectedRow.State.OPEN
        super().__init__(asked, queryset)

    @property
    def once(self) -> RejectedRowQuerySet:
        """The found rejects, one for each staged row and reason.

        One server, or one run, rejects a row once. Conditions other than days hold for all rejects
        of the same row and reason.
        """
        rejects: RejectedRowQuerySet = self.qs
        if self.given.get("server") or self.given.get("run"):
            return rejects
        if self.given.get("since") or self.given.get("until"):
            return rejects.once()
        return rejects.filter(duplicates_open=False)

    @property
    def active(self) -> bool:
        given = {name for name in self.form.fields if self.data.get(name)}
        return given != {"state"} or self.data["state"] != RejectedRow.State.OPEN

    def filter_state(self, rows: QuerySet[Any], name: str, value: str) -> QuerySet[Any]:
        return rows if value == "all" else rows.filter(state=value)

    def filter_load(self, rows: Any, name: str, value: Upload) -> QuerySet[Any]:
        return rows.of_load(value)

    def filter_text(self, rows: QuerySet[Any], name: str, value: str) -> QuerySet[Any]:
        text = value.strip()
        fits = Q(payload__account__startswith=text) | Q(payload__card__startswith=text)
        if key := REJECT_KEY.fullmatch(text):
            fits |= Q(pk=int(key[1]), row=int(key[2]))
        if (number := formats.number_in(text, 18)) is not None:
            fits |= Q(row=number)
        return rows.filter(fits)
