"""The settings of the installation."""

from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _

from transfer.access import role
from transfer.models import Actor, MaintenanceTask, Settings
from transfer.models.settings import SettingsChangedMeanwhile
from transfer.pages import links
from transfer.pages.back import done, read_or_post
from transfer.pages.parts import audit_sentences
from transfer.pages.parts.conflicts import posted_version, who_did_what
from transfer.pages.settings.forms import SettingsForm


@role("administrator")
@read_or_post
def settings(request: HttpRequest) -> HttpResponse:
    """Asks before it overwrites a change that somebody else made meanwhile."""
    held = Settings.load()
    form = SettingsForm(request.POST or None, instance=Settings.load())
    conflict = None
    if form.is_valid():
        values = {name: form.cleaned_data[name] for name in form.fields}
        try:
            held.change(Actor.of(request), expected_version=posted_version(request), **values)
        except SettingsChangedMeanwhile as error:
            conflict = who_did_what(error.entry) if error.entry else []
            held = Settings.load()
        except ValidationError as error:
            form.add_error(None, error)
        else:
            return done(request, _("The settings are saved."), "settings")
    context = {
        "form": form,
        "version": held.version,
        "conflict": conflict,
        "purges": [
            (task, links.of_task(task))
            for task in MaintenanceTask.objects.filter(kind__in=MaintenanceTask.REMOVING)
        ],
        "entries": audit_sentences.latest(held),
    }
    status = 409 if conflict is not None else 200
    return render(request, "settings/settings.html", context, status=status)
