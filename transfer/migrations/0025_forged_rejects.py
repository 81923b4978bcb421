"""Makes what older versions stored unchecked fit: rejects of bonus servers, first rows of files."""

import re

from django.db import migrations

# What a bonus server may have forged, as it is read now: see `reject_reading`.
FORGED = """
    update transfer_rejectedrow set code = 'unknown', payload = '{}'
     where jsonb_typeof(payload) <> 'object'
        or jsonb_path_exists(payload, '$.* ? (@.type() != "string" && @.type() != "null")');
    update transfer_rejectedrow set created_at = now()
     where created_at not between '2000-01-01' and now() + interval '1 day';
"""


def outline_first_rows(apps, schema_editor):
    """A heading with a digit may be a PIN code, of a file without headings."""
    uploads = apps.get_model("transfer", "Upload").objects
    for upload in uploads.filter(layout__has_key="headings").only("layout").iterator():
        headings = [
            re.sub(r"[^\s.,:/+-]", "•", name) if re.search(r"\d", name) else name
            for name in upload.layout["headings"]
        ]
        if headings != upload.layout["headings"]:
            upload.layout["headings"] = headings
            upload.save(update_fields=["layout"])


class Migration(migrations.Migration):
    dependencies = [("transfer", "0024_guesses")]

    operations = [
        migrations.RunSQL(FORGED, migrations.RunSQL.noop, elidable=True),
        migrations.RunPython(outline_first_rows, migrations.RunPython.noop, elidable=True),
    ]
