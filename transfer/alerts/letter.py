"""The letter of the morning: what was broken, whether all has arrived, what waits for a decision.

What it says is found once, at the hour of the settings, and stored with the message: a letter that
is sent again says the same.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from django.utils.translation import gettext as _, ngettext

from transfer.models import RejectedRow, Settings, TransferTask
from transfer.models.alerts import Incident, Notice, Recipient
from transfer.problems import kinds
from transfer.runs import backlog
from transfer.text import formats

Facts = dict[str, Any]

PERIOD = timedelta(hours=24)
NAMED = 3  # problems, and servers; of more it says how many there are


def queue_letters(recipients: Iterable[Recipient], now: datetime) -> None:
    """Puts the letters of this morning into the queue, once its hour has come.

    A recipient who is new gets the first letter on the next morning.
    """
    listed = list(recipients)
    if not listed:
        return
    settings = Settings.load()
    local = now.astimezone(settings.zone)
    if local.time() < settings.letter_at:
        return
    for recipient in listed:
        is_new = recipient.letter_on is None
        if recipient.letter_on == local.date() or recipient.is_quiet(now):
            continue
        Recipient.objects.filter(pk=recipient.pk).update(letter_on=local.date())
        if is_new or recipient.letter == Recipient.Letter.NONE:
            continue
        found = facts(recipient, now)
        if recipient.letter == Recipient.Letter.ALWAYS or not is_well(found):
            event = Notice.Event.LETTER
            Notice(recipient=recipient, event=event, params=found, created_at=now).queue()


def facts(recipient: Recipient, now: datetime) -> Facts:
    """Return what the letter says to this recipient, as values for JSON: of its servers alone.

    Problems that are muted last, too: otherwise it would say that all is well.
    """
    ended = Incident.objects.past().since(now - PERIOD)
    over = [one for one in ended if recipient.wants(one)]
    lasting = Incident.objects.open().filter(notify=True)
    still = [one for one in lasting if recipient.wants(one)]
    return {
        "over": [[one.code, one.params] for one in over[:NAMED]],
        "all_over": len(over),
        "still": [[one.code, one.params] for one in still[:NAMED]],
        "all_still": len(still),
        **_waiting(recipient, now),
        "rejects": _of_servers(recipient, RejectedRow.objects.open()).count(),
    }


def _of_servers(recipient: Recipient, rows: Any) -> Any:
    """Those of the rows that are of the recipient's servers."""
    chosen = [one.pk for one in recipient.servers.all()]
    return rows.filter(server__in=chosen) if chosen else rows


def _waiting(recipient: Recipient, now: datetime) -> Facts:
    """What has not arrived: rows that wait longer than they may, and servers that do not say."""
    longest = timedelta(minutes=Settings.load().alert_minutes)
    heard = backlog.stored()
    rows, oldest, silent = 0, None, set()
    for task in _of_servers(recipient, TransferTask.objects.enabled().select_related("server")):
        known = heard.get(task.pk)
        if known is None or known.error:
            silent.add(task.server.name)
        elif known.rows and known.oldest and now - known.oldest > longest:
            rows += known.rows
            oldest = min(oldest or known.oldest, known.oldest)
    return {"rows": rows, "oldest": oldest and oldest.isoformat(), "silent": sorted(silent)}


def is_well(found: Facts) -> bool:
    """Whether nothing was or is broken, all has arrived, and nothing waits for a decision."""
    return not any(found[name] for name in ("all_over", "all_still", "rows", "silent", "rejects"))


def text(found: Facts) -> str:
    """Return the three sentences; one if all is well."""
    if is_well(found):
        return _(
            "All is well: in the last 24 hours nothing was broken, all rows have arrived, and no "
            "rejected row waits for a decision."
        )
    return "\n".join((_broken(found), _arrived(found), _rejects(found)))


def _broken(found: Facts) -> str:
    over = _named([kinds.past(*one) for one in found["over"]], found["all_over"])
    still = _named([kinds.sentence(*one) for one in found["still"]], found["all_still"])
    names = {"over": over, "still": still}
    if over and still:
        return _("In the last 24 hours this was broken: %(over)s; and still is: %(still)s.") % names
    if over:
        return _("In the last 24 hours this was broken, and is well again: %(over)s.") % names
    if still:
        return _("This is broken: %(still)s.") % names
    return _("In the last 24 hours nothing was broken.")


def _arrived(found: Facts) -> str:
    servers = _named(found["silent"][:NAMED], len(found["silent"]))
    if found["rows"]:
        words = ngettext(
            "%(rows)s row has not arrived yet; it waits since %(oldest)s",
            "%(rows)s rows have not arrived yet; the oldest waits since %(oldest)s",
            found["rows"],
        )
        oldest = formats.bound(datetime.fromisoformat(found["oldest"]), zone=True)
        late = words % {"rows": formats.number(found["rows"]), "oldest": oldest}
        if servers:
            return _("%(late)s; of %(servers)s it is not known.") % {
                "late": late,
                "servers": servers,
            }
        return f"{late}."
    if servers:
        return _("Whether all rows have arrived is not known of %(servers)s.") % {
            "servers": servers
        }
    return _("All rows have arrived.")


def _rejects(found: Facts) -> str:
    if not found["rejects"]:
        return _("No rejected row waits for a decision.")
    words = ngettext(
        "%(n)s rejected row waits for a decision.",
        "%(n)s rejected rows wait for a decision.",
        found["rejects"],
    )
    return words % {"n": formats.number(found["rejects"])}


def _named(names: list[str], count: int) -> str:
    """The names, and how many there are beside them."""
    more = count - len(names)
    if not more:
        return "; ".join(names)
    words = ngettext("%(n)s more", "%(n)s more", more)
    return "; ".join([*names, words % {"n": formats.number(more)}])
