"""What has changed between two statements of one period, and what people have done since."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from transfer.models import AuditEntry, Bulletin, Upload
from transfer.statements.count import ANSWERS, MOST_LISTED

LISTS = (
    *("open_rejects", "differences", "outages", "approvals", "restores", "answers"),
    "installation_restored",
)


def changes_between(before: dict[str, Any], now: dict[str, Any]) -> list[dict[str, Any]]:
    """Return each figure that differs: what, before, now. Of lists, what has gone and what came."""
    changes = []
    old, new = dict(_figures(before)), dict(_figures(now))
    for what in sorted(old.keys() | new.keys()):
        if old.get(what) != new.get(what):
            changes.append({"what": what, "before": old.get(what), "now": new.get(what)})
    for name in LISTS:
        gone = [one for one in before.get(name, []) if one not in now[name]]
        come = [one for one in now[name] if one not in before.get(name, [])]
        if gone or come:
            changes.append({"what": name, "before": gone, "now": come})
    return changes


def _figures(content: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield the figures by name: "balances / 3 / rejected / rows"."""
    yield "shop_all", content["shop_all"]
    for kind in content["kinds"]:
        yield from _leaves(f"{kind['kind']} / log", kind["log"])
        for one in kind["servers"]:
            name = f"{kind['kind']} / {one['server']['id']}"
            yield from _leaves(name, {key: one[key] for key in one if key != "server"})


def _leaves(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _leaves(f"{name} / {key}", inner)
    else:
        yield name, value


def answers_since(since: datetime, zone: ZoneInfo) -> list[dict[str, Any]]:
    """Return restores, undos and answers of administrators since then: why figures may differ."""
    entries = AuditEntry.objects.filter(action__in=ANSWERS, at__gte=since).order_by("pk")
    found = [(one.at, {"action": one.action, "who": one.who}) for one in entries[:MOST_LISTED]]
    undos = Upload.objects.filter(undoes__isnull=False, created_at__gte=since).order_by("pk")
    found += [
        (one.created_at, {"action": "undo", "who": one.created_by}) for one in undos[:MOST_LISTED]
    ]
    found += [
        (one.at, {"action": one.code, "who": ""})
        for one in Bulletin.objects.filter(at__gte=since).order_by("pk")[:MOST_LISTED]
    ]
    found.sort(key=lambda one: one[0])
    return [
        {"at": at.astimezone(zone).isoformat(timespec="seconds"), **about} for at, about in found
    ]
