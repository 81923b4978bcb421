"""Lines of files that can't be loaded."""

from django.db import models
from django.utils.translation import gettext_lazy

from transfer.models.uploads import Upload


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
