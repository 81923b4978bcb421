import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('transfer', '0036_loads_of_the_api'),
    ]

    operations = [
        migrations.AlterField(
            model_name='notice',
            name='event',
            field=models.CharField(choices=[('began', 'Began'), ('worse', 'Worse'), ('reminder', 'Reminder'), ('ended', 'Ended'), ('test', 'Test')], db_column='sort', max_length=10),
        ),
        migrations.AddField(
            model_name='notice',
            name='told_by',
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='tells', to='transfer.notice'),
        ),
        migrations.AddField(
            model_name='incident',
            name='waited',
            field=models.BigIntegerField(null=True),
        ),
        migrations.AddField(
            model_name='incident',
            name='caught_up_at',
            field=models.DateTimeField(null=True),
        ),
        migrations.AddField(
            model_name='bonusserver',
            name='service_checked_at',
            field=models.DateTimeField(editable=False, null=True),
        ),
        migrations.AddField(
            model_name='bonusserver',
            name='service_failing_since',
            field=models.DateTimeField(editable=False, null=True),
        ),
        migrations.AddField(
            model_name='bonusserver',
            name='service_error_code',
            field=models.CharField(blank=True, db_default='', editable=False, max_length=40),
        ),
        migrations.AddField(
            model_name='bonusserver',
            name='service_error_params',
            field=models.JSONField(db_default={}, default=dict, editable=False),
        ),
    ]
