"""The form that asks which of the staged rows a bonus server has received.

Transfers that ask the same share one question. "Different for one of them" opens a question for
each. A transfer that lacks purged rows has a question of its own, beside the list of these rows.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from django import forms
from django.utils.translation import gettext as _

from transfer.causes.ledger import BEGINNING_UNDECIDED, COPY_OF, ROWS_PURGED
from transfer.models import BonusServer
from transfer.runs.beginning import Answer, Decision, Question, copied_from
from transfer.text import formats
from transfer.text.explain import explain

LATER, DIFFERENT = "later", "different"
RECEIVED, COPY, PURGED = "received", "copy", "purged"
SHOWN_EMPTY = "empty"
"""The kinds whose table was empty when the question was shown, as the page sends them back."""
ASKED = "asked"
"""Likewise all kinds that were asked about: the answer does not count for others."""
LISTED = 100  # changesets with purged rows; the command lists all


class WhereAsked:
    """A field that counts with some answers only. It is checked then, and not marked as optional.

    The form says where it is missing.
    """

    def validate(self, value: Any) -> None:
        if value:
            super().validate(value)  # type: ignore[misc]


class ServerField(WhereAsked, forms.ModelChoiceField):
    pass


class AnswerOfOne(WhereAsked, forms.ChoiceField):
    pass


@dataclass(frozen=True)
class Section:
    """Transfers that are asked the same."""

    name: str  # RECEIVED, COPY or PURGED
    questions: list[Question]

    @property
    def is_shared(self) -> bool:
        """Whether one question is asked for all of them."""
        return len(self.questions) > 1 and self.name != PURGED

    @property
    def proposal(self) -> str | None:
        """The answer that is proposed for all of them, if it is the same for all."""
        proposals = {one.proposal for one in self.questions}
        return proposals.pop() if len(proposals) == 1 else None

    @property
    def is_empty(self) -> bool:
        """Whether all tables that the rows would go into are certain to be empty."""
        return all(one.is_empty for one in self.questions)

    @property
    def copied_from(self) -> str:
        return self.questions[0].copied_from

    @property
    def is_docked_twice(self) -> bool:
        """Whether it is certain that this is no copy, but one database that is docked twice."""
        return self.name == COPY and self.questions[0].is_copy is False

    @property
    def can_differ(self) -> bool:
        return self.is_shared and self.name == RECEIVED

    @property
    def field_names(self) -> list[str]:
        """Of the shared question, or of the only transfer."""
        name = self.name if self.is_shared else self.questions[0].task.kind
        return [name, f"{name}_server"]

    @property
    def purged(self) -> int:
        return sum(one.purged for one in self.questions)


def sections_of(questions: Iterable[Question]) -> list[Section]:
    """Group questions that can be answered together; one section for each that lacks rows."""
    shared: dict[str, list[Question]] = {COPY: [], RECEIVED: []}
    lacking = []
    for one in questions:
        if one.error.cause is ROWS_PURGED:
            lacking.append(Section(PURGED, [one]))
        else:
            shared[COPY if one.error.cause is COPY_OF else RECEIVED].append(one)
    return [*(Section(name, asked) for name, asked in shared.items() if asked), *lacking]


class BeginningForm(forms.Form):
    """The answers to all questions about one server.

    A transfer may begin to ask while the page is open, as rows are staged: an answer that was given
    for the others does not count for it.
    """

    use_required_attribute = False

    def __init__(self, questions: list[Question], data: Any = None) -> None:
        super().__init__(data)
        asked = data.getlist(ASKED) if data is not None else []
        known = [one for one in questions if not asked or one.task.kind in asked]
        self.sections = sections_of(known)
        asking = [section for section in self.sections if not section.is_docked_twice]
        self.questions = [one for section in asking for one in section.questions]
        for section in asking:
            if section.is_shared:
                self._add(section.name, section.questions, section.proposal, section.can_differ)
            if section.can_differ or not section.is_shared:
                for one in section.questions:
                    self._add(one.task.kind, [one], one.proposal, required=not section.is_shared)

    def _add(
        self,
        name: str,
        questions: list[Question],
        proposal: str | None,
        can_differ: bool = False,
        required: bool = True,
    ) -> None:
        choices = [*answers(questions)]
        if can_differ:
            choices.append((DIFFERENT, _("Different for one of them")))
        choices.append((LATER, _("Decide later: nothing is sent until then")))
        field = forms.ChoiceField if required else AnswerOfOne
        self.fields[name] = field(
            label=_("What it has received") if required else questions[0].task.get_kind_display(),
            choices=choices,
            widget=forms.RadioSelect,
            initial=proposal,
        )
        if Answer.AS_SERVER in dict(choices):
            self.fields[f"{name}_server"] = ServerField(
                others(questions[0]),
                label=_("The server whose tables were copied"),
                empty_label=_("Choose a server"),
            )

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        for one in self.questions:
            name = self.field_of(one)
            if not cleaned.get(name) and name not in self.errors:
                self.add_error(name, _("Choose an answer."))
            elif cleaned.get(name) == Answer.AS_SERVER:
                server = f"{name}_server"
                if not cleaned.get(server) and not self.has_error(server):
                    self.add_error(server, _("Choose the server."))
        return cleaned

    def filled(self) -> Iterator[str]:
        """Yield why it is asked again: a table was shown as empty, and is not empty any more."""
        for one, decision in self.decisions():
            was_empty = one.task.kind in self.shown_empty
            if decision.answer == Answer.NOTHING and was_empty and not one.is_empty:
                words = _("%(kind)s: its table %(table)s is not empty any more. Answer again.")
                kind, table = one.task.get_kind_display(), one.task.kind_spec.quoted_target
                yield words % {"kind": kind, "table": table}

    @property
    def shown_empty(self) -> list[str]:
        data: Any = self.data
        return data.getlist(SHOWN_EMPTY) if self.is_bound else []

    @property
    def empty(self) -> list[str]:
        """The kinds whose table is empty now: the page sends them back as SHOWN_EMPTY."""
        return [one.task.kind for one in self.questions if one.is_empty]

    @property
    def asked(self) -> list[str]:
        """The kinds that are asked about, which the page sends back as ASKED."""
        return [one.task.kind for one in self.questions]

    def field_of(self, one: Question) -> str:
        """The name of the field that has the answer to the question."""
        section = next(some for some in self.sections if one in some.questions)
        differs = self.cleaned_data.get(section.name) == DIFFERENT
        return section.name if section.is_shared and not differs else str(one.task.kind)

    def answer_to(self, one: Question) -> str:
        return str(self.cleaned_data.get(self.field_of(one), ""))

    def decisions(self) -> Iterator[tuple[Question, Decision]]:
        """Yields each question that is decided, with the decision."""
        for one in self.questions:
            answer = self.answer_to(one)
            if answer == Answer.AS_SERVER:
                server = self.cleaned_data[f"{self.field_of(one)}_server"]
                version = self.data.get(f"{one.task.kind}_version", "")
                yield one, Decision(Answer.AS_SERVER, server, version)
            elif answer == Answer.NOTHING:
                yield one, Decision(Answer.NOTHING, is_empty=one.is_empty)
            elif answer != LATER:
                yield one, Decision(Answer(answer))

    @property
    def is_harmless(self) -> bool:
        """Whether what is decided can neither lose nor double a row: it is carried out at once."""
        return all(
            one.is_harmless and decision.answer == one.proposal
            for one, decision in self.decisions()
        )

    @property
    def is_proposed(self) -> bool:
        """Whether all questions are shown with a harmless answer."""
        return all(section.proposal for section in self.sections) and all(
            one.is_harmless for one in self.questions
        )

    @property
    def asks_what_it_has(self) -> bool:
        """Whether a position is to begin, or was lost; the others only lack purged rows."""
        return any(section.name != PURGED for section in self.sections)

    @property
    def is_sure(self) -> bool:
        """Whether we found the answer to every question in the server's own database."""
        return all(one.proposal for section in self.sections for one in section.questions)

    def groups(self) -> Iterator[dict[str, Any]]:
        """Yields the parts of the page: transfers, why they ask, and the fields."""
        for section in self.sections:
            names = [] if section.is_docked_twice else section.field_names
            heading = _("All transfers")
            if len(section.questions) == 1:
                heading = formats.capital(str(section.questions[0].task.get_kind_display()))
            lacking = section.questions[0].lacking
            apart = [
                [
                    self[name]
                    for name in (one.task.kind, f"{one.task.kind}_server")
                    if name in self.fields
                ]
                for one in (section.questions if section.can_differ else ())
            ]
            yield {
                "id": section.field_names[0],
                "section": section,
                "heading": heading,
                "why": [] if section.is_docked_twice else self._why(section),
                "fields": [self[name] for name in names if name in self.fields],
                "apart": apart,
                "lacking": [(one, formats.stored_moment(one.started)) for one in lacking[:LISTED]],
                "more": max(0, len(lacking) - LISTED),
            }

    def _why(self, section: Section) -> list[tuple[str, bool]]:
        """Say why they ask, each sentence once, and whether it is one that nobody has to weigh."""
        asked = section.questions if section.name == RECEIVED else section.questions[:1]
        why = [
            (_found(one), one.is_empty)
            if one.error.cause is BEGINNING_UNDECIDED
            else (explain(one.error).sentence, True)
            for one in asked
        ]
        return list(dict.fromkeys(why))


def _found(one: Question) -> str:
    """How many rows are staged for a transfer, and what its table at the server holds."""
    words: Mapping[str, object] = {
        "kind": one.task.get_kind_display(),
        "rows": formats.rows(one.rows),
        "table": one.task.kind_spec.quoted_target,
        "held": formats.about_rows(int(one.error.params.get("held", 0))),
    }
    if one.is_empty:
        return _("%(kind)s: %(rows)s in shop All; its table %(table)s is empty.") % words
    return _("%(kind)s: %(rows)s in shop All; its table %(table)s holds %(held)s.") % words


def others(question: Question) -> Any:
    return BonusServer.objects.exclude(pk=question.task.server_id).order_by("pk")


def answers(questions: list[Question]) -> Iterator[tuple[str, str]]:
    """Yield the answers to a question that transfers share, but for those that decide nothing."""
    cause = questions[0].error.cause
    if cause is ROWS_PURGED:
        yield Answer.WITHOUT, _("Go on without these rows, for good")
    elif cause is COPY_OF:
        words = _("It is a copy of the database of %(server)s: go on from where that was made")
        yield Answer.OWN, words % {"server": copied_from(questions[0].error.params)}
    else:
        rows = formats.rows(sum(one.rows for one in questions))
        yield Answer.NOTHING, _("Nothing yet: send all %(rows)s") % {"rows": rows}
        yield Answer.EVERYTHING, _("Everything until now: send only what is staged from now on")
        if others(questions[0]).exists():
            words = _("The same as another server: its tables are a copy of that one's")
            yield Answer.AS_SERVER, words
