from django.core.validators import MinValueValidator
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("transfer", "0030_load_gone_with_a_restore"),
    ]

    operations = [
        migrations.AddField(
            model_name="settings",
            name="large_amount",
            field=models.PositiveIntegerField(
                db_default=100000,
                default=100000,
                validators=[MinValueValidator(1)],
                verbose_name="amount by hand that has to be confirmed twice",
            ),
        ),
    ]
