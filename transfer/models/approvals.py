"""Loads that need a second person: what waits, since when, why, and who has decided.

The rows themselves wait in the encrypted pieces of the upload; nothing of them is in shop All.
"""

import json
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Self

from cryptography.fernet import InvalidToken
from django.db import models, transaction
from django.utils import timezone
from django.utils.translation import gettext_lazy

from transfer.errors import TransferError
from transfer.models.addresses import address
from transfer.models.approvers import OwnNumber, Person, is_approver
from transfer.models.audit import Actor, AuditEntry
from transfer.models.failing import FAILURE
from transfer.models.secret import cipher
from transfer.models.shared import AmountField
from transfer.models.uploads import Upload
from transfer.models.users import User

WAITS = timedelta(days=7)
"""How long a load waits for a second person at most."""
LISTED = -1
"""The number of the piece that holds the rows for the approver; those of a content count from 0."""


class ApprovalQuerySet(models.QuerySet["Approval"]):
    def waiting(self) -> Self:
        return self.filter(state=Approval.State.WAITING)

    def overdue(self, now: datetime) -> Self:
        return self.waiting().filter(asked_at__lt=now - WAITS)

    def expire(self, now: datetime) -> None:
        """Close those that nobody has decided on in time."""
        for approval in self.overdue(now).select_related("upload"):
            approval.close(Approval.State.EXPIRED)


class Approval(models.Model):
    """One load that needs a second person, and the decision."""

    class State(models.TextChoices):
        WAITING = "waiting", gettext_lazy("Needs a second person")
        APPROVED = "approved", gettext_lazy("Approved")
        REFUSED = "refused", gettext_lazy("Refused")
        EXPIRED = "expired", gettext_lazy("Not approved in time")
        VOID = "void", gettext_lazy("Approved, and not loaded")
        WITHDRAWN = "withdrawn", gettext_lazy("Withdrawn by who entered it")

    upload = models.OneToOneField(Upload, on_delete=models.CASCADE, related_name="approval")
    state = models.CharField(
        gettext_lazy("state"), max_length=10, choices=State, default=State.WAITING
    )
    asked_at = models.DateTimeField(gettext_lazy("when"), default=timezone.now)
    asked_by = models.CharField(gettext_lazy("who"), max_length=200)
    # Why, as `approvals.limits` says it: a list of objects with `code`, `limit`, `value`.
    reasons = models.JSONField(default=list)
    rows = models.BigIntegerField(gettext_lazy("rows"))
    largest = AmountField()
    # The sum of the amounts without their signs.
    total = AmountField(gettext_lazy("up and down"))
    # Of the rows: what is approved is what was shown, or nothing.
    digest = models.CharField(max_length=64)
    decided_at = models.DateTimeField(gettext_lazy("decided"), null=True)
    decided_by = models.CharField(gettext_lazy("by"), max_length=200, blank=True)
    reason = models.CharField(gettext_lazy("why"), max_length=500, blank=True)

    objects = ApprovalQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        verbose_name = gettext_lazy("approval")
        indexes = [
            models.Index(
                fields=["asked_at"],
                condition=models.Q(state="waiting"),
                name="waiting_approvals",
            )
        ]

    def __str__(self) -> str:
        return str(self.upload)

    def get_absolute_url(self) -> str:
        return address("approval", self.pk)

    def audit_params(self) -> dict[str, str]:
        return {"kind": self.upload.kind}

    @property
    def is_waiting(self) -> bool:
        return self.state == self.State.WAITING

    @property
    def expires_at(self) -> datetime:
        return self.asked_at + WAITS

    @property
    def own(self) -> list[str]:
        """The numbers of users that the rows name."""
        return [one for reason in self.reasons for one in reason.get("numbers", [])]

    @classmethod
    @transaction.atomic
    def ask(
        cls,
        upload: Upload,
        person: Person,
        *,
        listed: list[tuple[str, str, Decimal | None]],
        **facts: Any,
    ) -> Self:
        """Have the upload wait. Nothing of it is staged; `listed` is encrypted for the approver."""
        upload.pieces.filter(number=LISTED).delete()
        texts = [(a, b, None if amount is None else str(amount)) for a, b, amount in listed]
        upload.pieces.create(number=LISTED, content=cipher().encrypt(json.dumps(texts).encode()))
        upload.state, upload.changeset = Upload.State.WAITING, None
        upload.saved.update(state=upload.state, changeset=None, error_code="", closed_at=None)
        undecided: dict[str, Any] = {
            "state": cls.State.WAITING,
            "decided_at": None,
            "decided_by": "",
            "reason": "",
        }
        undecided |= {"asked_at": timezone.now(), "asked_by": person.name, **facts}
        approval, _is_new = cls.objects.update_or_create(undecided, upload=upload)
        actor = Actor(person.name, person.user, upload.address)
        new = {"state": cls.State.WAITING, "rows": approval.rows, "amount": str(approval.total)}
        AuditEntry.record(actor, AuditEntry.Action.APPROVAL, approval, new=new)
        return approval

    def listed(self) -> list[tuple[str, str, Decimal | None]]:
        """Return the rows as the loader entered them: number, other number, amount."""
        piece = self.upload.pieces.filter(number=LISTED).first()
        if piece is None:
            return []
        try:
            rows = json.loads(cipher().decrypt(bytes(piece.content)))
        except InvalidToken:  # SECRET_KEY was replaced: nobody approves what nobody can see
            return []
        return [(one, other, None if text is None else Decimal(text)) for one, other, text in rows]

    def may_decide(self, user: User | Any) -> bool:
        """Return whether this user may decide on it now.

        Nobody approves what he has entered, confirmed, or had entered by a key that he has made;
        nor rows for his own numbers.
        """
        if not is_approver(user):
            return False
        name = user.get_username()
        key = Person.named(self.asked_by).key
        names = {self.asked_by, self.upload.created_by, self.upload.confirmed_by}
        if name in names | ({key.created_by} if key else set()) or self.upload.user_id == user.pk:
            return False
        return not OwnNumber.objects.filter(user_id=user.pk, number__in=self.own).exists()

    @transaction.atomic
    def approve(self, actor: Actor) -> bool:
        """Approve the load; the caller then has it loaded. False if somebody was faster.

        The caller has asked `may_decide`; it is asked again with the row locked.
        """
        held = self._hold()
        if held is None or not held.may_decide(actor.user):
            return False
        if not held.upload.go_on(Upload.State.CONFIRMED, done=0, error_code=""):
            return False
        held._decide(self.State.APPROVED, actor)
        return True

    @transaction.atomic
    def refuse(self, actor: Actor, reason: str) -> bool:
        """Refuse the load with a reason. False if somebody was faster."""
        held = self._hold()
        if held is None or not held.may_decide(actor.user):
            return False
        held._decide(self.State.REFUSED, actor, reason)
        held.upload.end(Upload.State.DECLINED)
        return True

    @transaction.atomic
    def withdraw(self, actor: Actor) -> bool:
        """Give the load up, as who has entered it. False for others, or if it was decided."""
        held = self._hold()
        if held is None or actor.name != held.asked_by:
            return False
        held._decide(self.State.WITHDRAWN, actor)
        return held.upload.end(Upload.State.DISCARDED)

    @transaction.atomic
    def close(self, state: str) -> bool:
        """Close it undecided."""
        held = self._hold()
        if held is None:
            return False
        type(self).objects.filter(pk=self.pk).update(state=state, decided_at=timezone.now())
        self._note_end(state)
        return held.upload.end(Upload.State.EXPIRED)

    def wait_again(self) -> None:
        """Take the approval back: the load has failed, and nothing of it is staged."""
        waiting = {"state": self.State.WAITING, "decided_at": None, "decided_by": ""}
        type(self).objects.filter(pk=self.pk).update(**waiting)

    @transaction.atomic
    def void(self, error: TransferError) -> None:
        """End it without loading: what would be staged now is not what was approved."""
        type(self).objects.filter(pk=self.pk).update(state=self.State.VOID)
        self._note_end(self.State.VOID)
        self.upload.end(Upload.State.DECLINED)
        self.upload.note_error(error)
        self.upload.save(update_fields=FAILURE)

    def _hold(self) -> "Approval | None":
        """Return it, locked, with its present upload; None if it does not wait any more."""
        waiting = type(self).objects.waiting().select_related("upload")
        return waiting.select_for_update().filter(pk=self.pk).first()

    def _note_end(self, state: str) -> None:
        """Write the audit of an end that nobody has decided on."""
        new = {"state": state, "asked_by": self.asked_by, "amount": str(self.total)}
        AuditEntry.record(Actor(""), AuditEntry.Action.APPROVAL, self, new=new)

    def _decide(self, state: str, actor: Actor, reason: str = "") -> None:
        self.state, self.decided_at = state, timezone.now()
        self.decided_by, self.reason = actor.name, reason
        self.save(update_fields=["state", "decided_at", "decided_by", "reason"])
        new = {"state": state, "asked_by": self.asked_by, "rows": self.rows}
        new["amount"] = str(self.total)
        AuditEntry.record(actor, AuditEntry.Action.APPROVAL, self, new=new, reason=reason)
