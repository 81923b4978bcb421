"""Files on their way into the staging tables: their content and outcome."""

import io
import uuid
from datetime import datetime, timedelta
from typing import Any, ClassVar, Self

from django.conf import settings
from django.db import models, transaction
from django.utils import timezone
from django.utils.crypto import salted_hmac
from django.utils.translation import gettext, gettext_lazy, pgettext_lazy

from transfer.errors import ConnectionLost, FileRefused, TooSlow, TransferError, Unreachable
from transfer.models.addresses import address
from transfer.models.audit import Actor, AuditEntry
from transfer.models.failing import FAILURE, Failing
from transfer.models.pieces import PIECE, Pieces
from transfer.models.shared import AmountField
from transfer.models.tasks import KindChoices, OfKind
from transfer.queue.jobs import Job, JobQuerySet
from transfer.queue.locks import Space
from transfer.text import formats

UNCONFIRMED_HOURS = 24
MAYBE_DONE = (Unreachable, ConnectionLost, TooSlow)
DIGEST_SALT = "dtadmin.content-of-a-file"


class UploadQuerySet(JobQuerySet):
    def pending(self) -> Self:
        return self.filter(state__in=Upload.PENDING)

    def loaded(self) -> Self:
        return self.filter(state=Upload.State.LOADED)

    def recorded(self) -> Self:
        """Those that were loaded, also if shop All has lost them since."""
        return self.filter(state__in=[Upload.State.LOADED, Upload.State.LOST])

    def ever_undone(self) -> Self:
        """Loads that were taken back, also if shop All has lost the undo since."""
        return self.filter(undo__state__in=[Upload.State.LOADED, Upload.State.LOST])

    def overdue(self, now: datetime) -> Self:
        """Uploads that were not confirmed in time."""
        old = now - timedelta(hours=UNCONFIRMED_HOURS)
        return self.filter(created_at__lt=old, state__in=Upload.UNDECIDED)

    def expire(self, now: datetime) -> None:
        for upload in self.overdue(now):
            upload.close(Upload.State.EXPIRED)


class Upload(OfKind, Job, Failing):
    """A file, or one change entered by hand.

    Its content is kept in this database, in encrypted pieces, so that any machine's worker can
    read it; it is deleted as soon as it is loaded, discarded or forgotten.
    """

    class State(models.TextChoices):
        RECEIVED = "received", gettext_lazy("Being checked")
        COLUMNS = "columns", gettext_lazy("Columns not recognised")
        READY = "ready", gettext_lazy("Waits for confirmation")
        CONFIRMED = "confirmed", gettext_lazy("Being loaded")
        LOADED = "loaded", gettext_lazy("Loaded")
        REFUSED = "refused", gettext_lazy("Can't be read")
        FAILED = "failed", gettext_lazy("Check failed")
        DISCARDED = "discarded", pgettext_lazy("file", "Discarded")
        EXPIRED = "expired", gettext_lazy("Not confirmed in time")
        LOST = "lost", gettext_lazy("Lost by a restore")
        WAITING = "waiting", gettext_lazy("Needs a second person")
        DECLINED = "declined", gettext_lazy("Not approved")

    class InputMethod(models.TextChoices):
        FILE = "file", gettext_lazy("File")
        HAND = "hand", gettext_lazy("By hand")
        COMMAND = "command", gettext_lazy("Command line")
        API = "api", gettext_lazy("API")
        UNDO = "undo", pgettext_lazy("load", "Undo")
        CORRECTION = "correction", gettext_lazy("Correction")
        CHANGE = "change", gettext_lazy("Change in place")

    LOCK_SPACE = Space.UPLOAD
    PENDING: ClassVar[list[str]] = [State.RECEIVED, State.CONFIRMED]
    UNDECIDED: ClassVar[list[str]] = [State.COLUMNS, State.READY, State.REFUSED, State.FAILED]

    # What a call of the API calls its load.
    token = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    kind = models.CharField(max_length=10, choices=KindChoices)
    input_method = models.CharField(
        gettext_lazy("way"),
        max_length=10,
        choices=InputMethod,
        default=InputMethod.FILE,
    )
    state = models.CharField(max_length=10, choices=State, default=State.RECEIVED)
    name = models.CharField(gettext_lazy("file"), max_length=255)
    size = models.BigIntegerField(default=0)
    # A keyed digest of the content: without a key, PIN codes could be found by trying.
    digest = models.CharField(max_length=64, blank=True)
    is_utf8 = models.BooleanField(default=False)
    # How the user says that it is to be read; the rest is detected.
    chosen = models.JSONField(default=dict)
    layout = models.JSONField(default=dict)
    report = models.JSONField(default=dict)

    good = models.BigIntegerField(gettext_lazy("good lines"), default=0)
    bad = models.BigIntegerField(gettext_lazy("bad lines"), default=0)
    subjects = models.BigIntegerField(default=0)
    amount = AmountField(gettext_lazy("sum"), null=True)
    done = models.BigIntegerField(default=0)
    total = models.BigIntegerField(default=0)

    created_at = models.DateTimeField(default=timezone.now)
    created_by = models.CharField(max_length=200)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+"
    )
    confirmed_at = models.DateTimeField(null=True)
    confirmed_by = models.CharField(max_length=200, blank=True)
    address = models.GenericIPAddressField(null=True)
    closed_at = models.DateTimeField(null=True)
    # What shop All calls the rows of the load: see `engine/shop_all/names`.
    changeset = models.UUIDField(null=True, editable=False, db_index=True)

    # For an undo: the load that it takes back.
    undoes = models.OneToOneField(
        "self", on_delete=models.SET_NULL, null=True, editable=False, related_name="undo"
    )

    objects = UploadQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        verbose_name = gettext_lazy("load")
        indexes = [
            # At every tick, and at every purge.
            models.Index(fields=["state", "created_at"], name="uploads_by_state"),
        ]

    def __str__(self) -> str:
        name = self.name or str(self.get_input_method_display())
        if self.is_by_api:  # what its call is named by is a key, which says nothing to people
            at = formats.date_in_numbers(timezone.localtime(self.created_at))
            name = f"{self.created_by}, {at}"
        return gettext("Undo of %(name)s") % {"name": name} if self.is_undo else name

    def get_absolute_url(self) -> str:
        return address("upload", self.pk)

    def audit_params(self) -> dict[str, str]:
        return {"kind": self.kind}

    @property
    def is_by_api(self) -> bool:
        """Whether a program has called the API; its `name` is the Idempotency-Key of the call."""
        return self.input_method == self.InputMethod.API

    @property
    def is_undo(self) -> bool:
        return self.input_method == self.InputMethod.UNDO

    @property
    def is_undone(self) -> bool:
        """Whether it was taken back."""
        undo = getattr(self, "undo", None)  # `select_related` reads it along
        return undo is not None and undo.state == self.State.LOADED

    @property
    def is_recorded(self) -> bool:
        """Whether it was loaded, also if shop All has lost it since."""
        return self.state in (self.State.LOADED, self.State.LOST)

    @property
    def was_ever_undone(self) -> bool:
        """Whether it was taken back, also if shop All has lost the undo since."""
        undo = getattr(self, "undo", None)
        return undo is not None and undo.is_recorded

    @property
    def can_be_undone(self) -> bool:
        """Whether it is loaded, and was not taken back."""
        is_load = self.state == self.State.LOADED and not self.is_undo and not self.has_no_file
        return is_load and not self.is_undone

    @property
    def has_no_file(self) -> bool:
        """Whether its rows are those of rejects, or of changed rows, and of no file."""
        return self.input_method in (self.InputMethod.CORRECTION, self.InputMethod.CHANGE)

    @property
    def approved_by(self) -> str:
        """The second person who has approved it; empty if it needed none."""
        approval = getattr(self, "approval", None)
        return "" if approval is None else approval.decided_by

    @property
    def is_working(self) -> bool:
        return self.state in self.PENDING

    @property
    def is_undecided(self) -> bool:
        return self.state in self.UNDECIDED

    @property
    def lines(self) -> int:
        return self.good + self.bad

    @property
    def is_ordered(self) -> bool:
        """Whether a program wants it loaded as soon as it is checked, after its call has ended."""
        return self.is_by_api and self.confirmed_at is not None

    @property
    def can_be_read_again(self) -> bool:
        """Whether a user may choose how it is read; a program has said how its rows are written."""
        return bool(self.layout) and self.is_undecided and not self.is_by_api

    @property
    def corrections(self) -> int:
        """How many good lines correct rejected rows."""
        return int(self.report.get("corrections", 0))

    def open(self) -> io.BufferedReader:
        """The content, a piece in memory at a time."""
        return io.BufferedReader(Pieces(self.pieces), PIECE)

    def recognise_by(self, sha256: str) -> None:
        """Keeps a digest of the content, by which a call of the API is known again."""
        self.digest = content_digests(sha256)[0]

    def claim(self) -> bool:
        self.refresh_from_db()
        return self.is_working

    def fail(self, error: TransferError) -> None:
        """What was confirmed can be confirmed again, what was not can be checked again.

        What was approved is tried again by the tick if a database did not answer, which may have
        staged it; else it waits for a second person again.
        """
        approval = getattr(self, "approval", None)
        if approval is not None and self.saved.get().state == self.State.CONFIRMED:
            if not isinstance(error, MAYBE_DONE):
                approval.wait_again()
                self.state = self.State.WAITING
        elif self.saved.get().state != self.State.RECEIVED:
            self.state = self.State.READY
        else:
            refused = isinstance(error, FileRefused)
            self.state = self.State.REFUSED if refused else self.State.FAILED
        self.note_error(error)
        self.save(update_fields=["state", "layout", *FAILURE])

    def refuse(self, error: TransferError) -> None:
        """Ends the check of rows that can't be loaded, and deletes them; its report stays."""
        self.state = self.State.REFUSED
        self.note_error(error)
        self.save(update_fields=["state", *FAILURE])
        self.forget()

    def go_on(self, state: str, **fields: Any) -> bool:
        """Changes the state, unless it has changed meanwhile."""
        fields |= {"state": state}
        changed = self.saved.filter(state=self.state).update(**fields)
        if changed:
            self.assign(**fields)
        return bool(changed)

    def confirm(self, actor: Actor) -> bool:
        """Queues the load. False if another user was faster."""
        return self.state == self.State.READY and self.go_on(
            self.State.CONFIRMED,
            confirmed_at=timezone.now(),
            confirmed_by=actor.name,
            address=actor.address,
            done=0,
            error_code="",
        )

    def close(self, state: str) -> bool:
        """Ends an undecided file, and deletes its content, and what was quoted of it."""
        return self.is_undecided and self.end(state)

    @transaction.atomic
    def end(self, state: str) -> bool:
        """Likewise of any file that is not loaded. False if its state has changed meanwhile."""
        closed = {"closed_at": timezone.now(), "report": {}, "amount": None}
        if not self.go_on(state, **closed):
            return False
        self.bad_lines.all().delete()
        self.forget()
        return True

    def forget(self) -> None:
        """Deletes the content, and its first lines in clear: they may hold PIN codes."""
        self.layout.pop("sample", None)
        self.saved.update(layout=self.layout)
        self.pieces.all().delete()

    @transaction.atomic
    def note_loaded(self, rows: int, changeset: str) -> None:
        """Notes what was loaded, after the staging database has committed, even after a crash."""
        self.state, self.closed_at, self.good = self.State.LOADED, timezone.now(), rows
        self.changeset = uuid.UUID(changeset)
        self.note_error(None)
        self.save()
        self.forget()
        actor = Actor(self.confirmed_by, self.user, self.address)
        new: dict[str, Any] = {
            "input_method": self.input_method,
            "name": self.name,
            "good": rows,
            "bad": self.bad,
        }
        if self.corrections:
            new["corrections"] = self.corrections
        if self.amount is not None:
            new["amount"] = str(self.amount)
        if self.approved_by:
            new["approved_by"] = self.approved_by
        AuditEntry.record(actor, AuditEntry.Action.LOAD, self, new=new)


def content_digests(sha256: str) -> list[str]:
    """Digests of a content's sha256: with the present SECRET_KEY, then with earlier ones."""
    return [
        salted_hmac(DIGEST_SALT, sha256, secret=key, algorithm="sha256").hexdigest()
        for key in [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS]
    ]


class BadLine(models.Model):
    """A line of a file that can't be loaded: where and why. A secret is masked: ••••."""

    upload = models.ForeignKey(Upload, on_delete=models.CASCADE, related_name="bad_lines")
    line = models.BigIntegerField()
    columns = models.CharField(max_length=100)
    value = models.CharField(max_length=100)
    code = models.CharField(max_length=40)
    # The values of the columns that are loaded, without PIN codes.
    cells = models.JSONField(default=dict)

    class Meta:
        ordering = ["line"]
        verbose_name = gettext_lazy("bad line")
        indexes = [models.Index(fields=["upload", "line"], name="bad_lines_of_upload")]

    def __str__(self) -> str:
        return f"{self.upload_id}, {self.line}: {self.code}"
