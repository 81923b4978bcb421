from django.db import migrations, models


class Migration(migrations.Migration):
    """Adds the last reconciliation. `counted` stays in the table: workers of the version before use it."""

    dependencies = [
        ("transfer", "0027_people_of_the_audit"),
    ]

    operations = [
        migrations.SeparateDatabaseAndState(
            state_operations=[migrations.RemoveField("transfertask", "counted")]
        ),
        migrations.AddField(
            "transfertask", "reconciled", models.JSONField(editable=False, null=True)
        ),
    ]
