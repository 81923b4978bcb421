from django.conf import settings
from django.db import migrations, models
from django.utils.crypto import salted_hmac


def rekey(apps, schema_editor):
    """What was kept is the SHA-256 of a content, and the new digest is made of just that."""
    uploads = apps.get_model("transfer", "Upload").objects
    for pk, sha256 in uploads.exclude(digest="").values_list("pk", "digest"):
        keyed = salted_hmac(
            "dtadmin.content-of-a-file", sha256, secret=settings.SECRET_KEY, algorithm="sha256"
        )
        uploads.filter(pk=pk).update(digest=keyed.hexdigest())


def forget_first_lines(apps, schema_editor):
    """Of files that are closed."""
    uploads = apps.get_model("transfer", "Upload").objects
    for upload in uploads.exclude(closed_at=None).filter(layout__has_key="sample"):
        del upload.layout["sample"]
        upload.save(update_fields=["layout"])


class Migration(migrations.Migration):
    dependencies = [("transfer", "0012_alerts")]

    operations = [
        migrations.RemoveIndex("upload", "uploads_by_content"),
        migrations.RenameField("upload", "sha256", "digest"),
        migrations.RunPython(rekey, elidable=True),
        migrations.RunPython(forget_first_lines, migrations.RunPython.noop, elidable=True),
        migrations.AddIndex(
            "upload",
            models.Index(
                fields=["digest"],
                condition=models.Q(("state", "loaded")),
                name="uploads_by_content",
            ),
        ),
    ]
