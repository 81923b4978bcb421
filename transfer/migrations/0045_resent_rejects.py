from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('transfer', '0044_labels'),
    ]

    operations = [
        migrations.AddIndex(
            model_name='rejectedrow',
            index=models.Index(condition=models.Q(('state', 'resent')), fields=['-closed_at'], name='rejects_resent'),
        ),
    ]
