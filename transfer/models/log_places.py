"""How far our own history has seen the logs of shop All."""

from collections.abc import Mapping

from django.db import connection, models

from transfer.engine.received import Place

# Notes the place of a log. By the unique index.
NOTE = """
    insert into transfer_logplace as held (origin, kind, number, mark, seen_at)
    values (%s, %s, %s, %s, now())
        on conflict (origin, kind) do update
       set number = excluded.number, mark = excluded.mark, seen_at = excluded.seen_at
     where (held.number, held.mark) <> (excluded.number, excluded.mark)
"""


class LogPlaceManager(models.Manager["LogPlace"]):
    def note_end(self, origin: str, kind: str, place: Place) -> None:
        """Note that the log of this shop All was seen up to this place."""
        with connection.cursor() as cursor:
            cursor.execute(NOTE, [origin, kind, place.number, place.mark])

    def seen(self) -> Mapping[tuple[str, str], Place]:
        """Return (origin, kind) → the last place that was seen."""
        rows = self.values_list("origin", "kind", "number", "mark")
        return {
            (str(origin), kind): Place(number, str(mark)) for origin, kind, number, mark in rows
        }


class LogPlace(models.Model):
    """The last line of a log of shop All that we have seen.

    If the log lacks it, shop All was restored, or is another database: an administrator is asked
    before anything is moved (see `engine/knowledge`).
    """

    origin = models.UUIDField()
    kind = models.CharField(max_length=10)
    number = models.BigIntegerField()
    mark = models.UUIDField()
    seen_at = models.DateTimeField()

    objects = LogPlaceManager()

    class Meta:
        verbose_name = "place of a log"
        constraints = [models.UniqueConstraint("origin", "kind", name="log_place")]

    def __str__(self) -> str:
        return f"{self.kind}: {self.number}"
