"""Fields get plain names. Their columns keep the old ones: workers of the version before use them."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ('transfer', '0028_last_reconciliation'),
    ]

    operations = [
        migrations.SeparateDatabaseAndState(state_operations=[
            # An index names fields, and does not follow a renamed one.
            migrations.RemoveIndex('rejectedrow', 'rejects_open'),
            migrations.RemoveIndex('rejectedrow', 'rejects_by_time'),
            migrations.RenameField('rejectedrow', 'follows', 'duplicates_open'),
            migrations.AlterField('rejectedrow', 'duplicates_open', models.BooleanField(db_column='follows', default=False)),
            migrations.AddIndex('rejectedrow', models.Index(condition=models.Q(('state', 'open')), fields=['kind', 'code', 'duplicates_open', '-id'], include=('state',), name='rejects_open')),
            migrations.AddIndex('rejectedrow', models.Index(fields=['created_at', 'id', 'state', 'kind', 'code', 'server', 'duplicates_open'], name='rejects_by_time')),
            migrations.RenameField('upload', 'way', 'input_method'),
            migrations.AlterField('upload', 'input_method', models.CharField(choices=[('file', 'File'), ('hand', 'By hand'), ('command', 'Command line')], db_column='way', default='file', max_length=10, verbose_name='way')),
            migrations.RemoveConstraint('notice', 'nobody_is_told_twice'),
            migrations.RenameField('notice', 'sort', 'event'),
            migrations.AlterField('notice', 'event', models.CharField(choices=[('began', 'Began'), ('reminder', 'Reminder'), ('ended', 'Ended'), ('test', 'Test')], db_column='sort', max_length=10)),
            migrations.AddConstraint('notice', models.UniqueConstraint('recipient', 'incident', 'event', 'number', name='nobody_is_told_twice')),
        ]),
    ]
