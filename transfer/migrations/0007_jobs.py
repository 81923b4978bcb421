from django.db import migrations, models


def drop_entries(apps, schema_editor):
    """Entries that wait under a function's former path, which no worker can import any more.

    Nothing is lost: what a run, a file or a change of accounts still has to do stands in itself,
    and the next tick puts it into the queue again.
    """
    entries = apps.get_model('django_tasks_database', 'DBTaskResult').objects
    entries.filter(status='READY', task_path__startswith='transfer.').delete()


class Migration(migrations.Migration):

    dependencies = [
        ('transfer', '0006_dry_runs'),
        ('django_tasks_database', '__first__'),
    ]

    operations = [
        migrations.RunPython(drop_entries, migrations.RunPython.noop),
        *[
            migrations.AlterField(model_name=model, name=name, field=field)
            for model in ('transferrun', 'maintenancerun', 'upload')
            for name, field in {
                'error_code': models.CharField(blank=True, editable=False, max_length=40),
                'error_params': models.JSONField(default=dict, editable=False),
                'error_technical': models.TextField(blank=True, editable=False, verbose_name='technical text'),
            }.items()
        ],
    ]
