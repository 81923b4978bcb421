"""Loads that need a second person, and limits without anybody who could approve."""

from collections.abc import Iterator

from django.db.models import Count, Max, Min

from transfer.approvals.limits import has_limits
from transfer.models import Approval
from transfer.models.addresses import address
from transfer.models.approvers import approvers
from transfer.problems.kinds import Code
from transfer.problems.problem import Problem


def problems_of_approvals() -> Iterator[Problem]:
    """Yield one problem for all loads that wait, and one where nobody may approve."""
    waiting = Approval.objects.waiting().order_by()
    found = waiting.aggregate(n=Count("pk"), last=Max("pk"), since=Min("asked_at"))
    since = found.pop("since")
    if found["n"]:
        yield Problem(Code.APPROVALS, "", address("approvals"), found, since=since)
    if (found["n"] or has_limits()) and not approvers():
        yield Problem(Code.NO_APPROVER, "nobody", address("users"))
