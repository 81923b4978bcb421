from typing import Any

from django import forms
from django.utils.translation import gettext_lazy

from transfer.models import Settings
from transfer.models.settings import REQUIRED_OF
from transfer.pages.fields import LongSelect, zone_choices


class SettingsForm(forms.ModelForm):
    """The settings. The setting of the scheduler is named as in the vendor's documentation."""

    time_zone = forms.ChoiceField(
        label=gettext_lazy("Time zone"),
        choices=zone_choices,
        widget=LongSelect,
        required=False,
        help_text=gettext_lazy(
            "Schedules follow its clock. Each user may choose another zone for the pages."
        ),
    )

    second_factor_level = forms.TypedChoiceField(
        label=gettext_lazy("Who needs a second factor"),
        choices=REQUIRED_OF,
        coerce=int,
        help_text=gettext_lazy(
            "At a log-in by password. A user without one sets it up before anything else: an app "
            "with codes, or a passkey."
        ),
    )

    class Meta:
        model = Settings
        fields = [
            "show_transfer_tasks",
            "time_zone",
            "history_days",
            "failure_days",
            "staging_days",
            "pin_days",
            "log_days",
            "reject_days",
            "audit_days",
            "alert_failures",
            "alert_minutes",
            "escalation_minutes",
            "letter_at",
            "delay_limit",
            "large_amount",
            "row_limit",
            "load_limit",
            "day_limit",
            "key_row_limit",
            "key_load_limit",
            "key_day_limit",
            "second_factor_level",
            "confirms_by_itself",
        ]
        widgets = {"letter_at": forms.TimeInput({"type": "time"})}
        help_texts = {
            "letter_at": gettext_lazy(
                "To recipients who want it: what was broken in the last 24 hours, whether all rows "
                "have arrived, and the rejected rows that wait."
            ),
            "show_transfer_tasks": gettext_lazy(
                "When off, transfer tasks are hidden there but keep running. To stop one, use its "
                "own switch."
            ),
            "history_days": gettext_lazy("Older runs that succeeded are removed every night."),
            "failure_days": gettext_lazy("They are kept longer, to find out what happened."),
            "staging_days": gettext_lazy(
                "Older rows are removed from the staging tables once every task has moved them, "
                "if the maintenance task for it is on."
            ),
            "pin_days": gettext_lazy(
                "The same for PIN codes, which can be read there until then. A PIN code that was "
                "rejected stays until somebody has decided on it. A server that is restored to a "
                "time before that asks what to do about the PIN codes that are gone."
            ),
            "log_days": gettext_lazy(
                "At least the age of the oldest backup that anybody would restore, of any of the "
                "databases. A server restored to a time before that does not know what it has."
            ),
            "confirms_by_itself": gettext_lazy(
                "For installations with fail-over, where nobody copies shop All for tests: a copy "
                "with its own rows would be taken for the real one."
            ),
            "reject_days": gettext_lazy(
                "Only those that were sent again or discarded. Open ones stay."
            ),
            "escalation_minutes": gettext_lazy(
                "Of serious problems. The recipients’ places in the order say who is told first."
            ),
            "delay_limit": gettext_lazy(
                "From the begin of the transaction that staged a row until a bonus server has the "
                "row; the last 24 hours of each transfer."
            ),
            "large_amount": gettext_lazy(
                "A larger balance change that is entered by hand is asked about once more; in a "
                "file, such lines are counted before they are loaded."
            ),
            "row_limit": gettext_lazy("Empty: any amount. Amounts count without their signs."),
            "load_limit": gettext_lazy("Empty: any sum. Of a file, an undo, a correction."),
            "day_limit": gettext_lazy("Empty: any sum. What was approved does not count."),
            "key_row_limit": gettext_lazy("Empty: any amount. A key may have limits of its own."),
            "audit_days": gettext_lazy(
                "Who did what, and which files were loaded when and by whom."
            ),
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for field in self.fields.values():
            if isinstance(field, forms.IntegerField):
                field.widget.attrs |= {"min": 1, "inputmode": "numeric"}
