"""Corrections and decisions about changed rows that wait: what to do again once it is approved.

Such a request has no file. It is kept as JSON in the encrypted pieces of an upload, since values
that people have typed may be PIN codes.
"""

import json
from typing import Any

from django.db import transaction

from transfer.approvals.gate import NeedsSecondPerson, note
from transfer.approvals.rows import of_approval
from transfer.engine.kind import Kind
from transfer.engine.shop_all.source import ShopAll
from transfer.models import Actor, Approval, Upload
from transfer.models.pieces import PIECE
from transfer.models.secret import cipher


@transaction.atomic
def park(
    kind: Kind, way: str, actor: Actor, request: dict[str, Any], needed: NeedsSecondPerson
) -> Approval:
    """Keep a request until somebody has decided. Nothing of it is staged."""
    rows = needed.rows
    upload = Upload.objects.create(
        kind=kind.name,
        input_method=way,
        state=Upload.State.WAITING,
        good=rows.count,
        amount=rows.amount if kind.appends else None,
        created_by=actor.name,
        confirmed_by=actor.name,
        user_id=actor.user.pk if actor.user else None,
        address=actor.address,
    )
    content = json.dumps(request).encode()
    for number, first in enumerate(range(0, len(content), PIECE)):
        piece = cipher().encrypt(content[first : first + PIECE])
        upload.pieces.create(number=number, content=piece)
    return needed.ask(upload)


def request_of(upload: Upload) -> dict[str, Any]:
    """Return the request that waits."""
    request: dict[str, Any] = json.loads(upload.open().read())
    return request


def actor_of(upload: Upload) -> Actor:
    """Return who has made the request."""
    return Actor(upload.confirmed_by, upload.user, upload.address)


def name_of(upload: Upload, shop_all: ShopAll) -> str:
    """Return what shop All calls the rows of the request: the same however often it is tried."""
    digest = bytes.fromhex(upload.approval.digest)
    return shop_all.names.of_call(upload.kind_spec, str(upload.token), digest)


def note_staged_before(upload: Upload, shop_all: ShopAll) -> bool:
    """Note in our own database what a process that died has staged; return whether it had."""
    name = name_of(upload, shop_all)
    with shop_all.database.transaction(commit=False):
        found = shop_all.loads.get(name)
    if found is None:
        return False
    with transaction.atomic():
        note(upload.confirmed_by, upload.input_method, of_approval(upload.approval), upload)
        upload.note_loaded(found.rows, name)
    return True
