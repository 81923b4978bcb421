"""The latest batch of each reader of which a bonus server has received rows."""

from django.db import connection, models

from transfer.engine.position import Position
from transfer.engine.shop_all.records import RecordedBatch

# Notes the batch of a reader; nothing if it is noted already. By the primary key.
NOTE = """
    insert into transfer_latestbatch as held (reader, origin, kind, server_name, number, token, at)
    values (%s, %s, %s, %s, %s, %s, now())
        on conflict (reader) do update
       set origin = excluded.origin, server_name = excluded.server_name,
           number = excluded.number, token = excluded.token, at = excluded.at
     where (held.origin, held.token) is distinct from (excluded.origin, excluded.token)
"""


class LatestBatchManager(models.Manager["LatestBatch"]):
    def note(self, position: Position, server_name: str) -> None:
        """Notes the batch that the position names, if any."""
        if position.reader is None or position.token is None:
            return
        place = [position.reader, position.origin, position.kind, server_name]
        with connection.cursor() as cursor:
            cursor.execute(NOTE, [*place, position.number, position.token])

    def noted_last(self, most: int) -> list[RecordedBatch]:
        """Those that were noted last."""
        fields = ("origin", "kind", "server_name", "reader", "number", "token")
        return [
            RecordedBatch(str(origin), kind, server, str(reader), number, str(token))
            for origin, kind, server, reader, number, token in self.order_by("-at").values_list(
                *fields
            )[:most]
        ]


class LatestBatch(models.Model):
    """The latest batch of a reader that we know a bonus server to have received rows of.

    It stays when the server is undocked, and when the history is purged: shop All keeps the latest
    batch of each reader for ever, so if it lacks this one, it was restored (see
    `engine/shop_all/records`).
    """

    reader = models.UUIDField(primary_key=True)
    origin = models.UUIDField()
    kind = models.CharField(max_length=10)
    server_name = models.CharField(max_length=100)
    number = models.BigIntegerField()
    token = models.UUIDField()
    at = models.DateTimeField(db_index=True)

    objects = LatestBatchManager()

    def __str__(self) -> str:
        return f"{self.kind} → {self.server_name}: {self.number}"
