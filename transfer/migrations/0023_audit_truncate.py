from django.db import migrations

from transfer.models.audit import TRUNCATE_GUARD


class Migration(migrations.Migration):

    dependencies = [
        ('transfer', '0022_tick_without_network'),
    ]

    operations = [
        migrations.RunSQL(
            TRUNCATE_GUARD.format(
                name='audit_append_only_truncate', table='transfer_auditentry'
            ),
            'drop trigger audit_append_only_truncate on transfer_auditentry',
        ),
    ]
