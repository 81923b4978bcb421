"""What our own database has recorded of shop All last: proof of a restore if shop All lacks it."""

from transfer.engine.shop_all.records import Recorded
from transfer.models.latest_batches import LatestBatch
from transfer.models.rejects import RejectedRow
from transfer.models.tasks import TransferTask
from transfer.models.uploads import Upload

# Each transfer, purge and undo compares so many loads, corrections and batches. What was written at
# the same time may be recorded in another order, so that the last one alone would not do. What a
# restore loses is the latest, so it is among these unless all of them were recorded after the
# restore.
LATEST = 200


def recorded(origin: str) -> Recorded:
    """The latest loads, undos and corrections under this identity of shop All; the latest batches
    under any.
    """
    loads = Upload.objects.loaded().filter(origin=origin).order_by("-created_at")
    sent = RejectedRow.objects.filter(state=RejectedRow.State.RESENT, resent_origin=origin)
    rows = sent.order_by("-closed_at").values_list("kind", "origin", "staging_id")[:LATEST]
    return Recorded(
        [str(token) for token in loads.values_list("token", flat=True)[:LATEST]],
        [(kind, str(rejected), number) for kind, rejected, number in rows],
        LatestBatch.objects.noted_last(LATEST),
    )


def begun() -> set[tuple[str, str]]:
    """Kind and server of each docked flow whose server has received a batch."""
    readers = set(LatestBatch.objects.values_list("reader", flat=True))
    tasks = TransferTask.objects.select_related("server")
    return {(task.kind, task.server.name) for task in tasks if not readers.isdisjoint(task.readers)}
