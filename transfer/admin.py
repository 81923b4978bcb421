"""Django's admin shows superusers the product's own rows. Changes go through our pages, which check
them and note them in the audit; so what others register, which it would change, is taken out."""

from typing import Any

# They register what is taken out below.
import allauth.account.admin
import allauth.mfa.admin
import allauth.socialaccount.admin  # noqa: F401
import django.contrib.auth.admin  # noqa: F401
from django.contrib import admin
from django.db.models import Model
from django.http import HttpRequest
from encrypted_fields.fields import EncryptedFieldMixin

from transfer.models import AuditEntry, BonusServer, RejectedRow, TransferRun, TransferTask

admin.site.unregister([*admin.site._registry])


@admin.register(AuditEntry, BonusServer, RejectedRow, TransferRun, TransferTask)
class ReadOnlyAdmin(admin.ModelAdmin):
    list_per_page = 50
    show_full_result_count = False

    def get_list_display(self, request: HttpRequest) -> list[Any]:
        return self.get_fields(request)[:9]

    def get_fields(self, request: HttpRequest, obj: Model | None = None) -> list[Any]:
        """All fields but secrets."""
        fields = self.model._meta.fields
        return [field.name for field in fields if not isinstance(field, EncryptedFieldMixin)]

    def never(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    has_add_permission = has_change_permission = has_delete_permission = never
