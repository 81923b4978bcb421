from django.contrib import admin
from django.urls import include, path
from django.views.generic import RedirectView

from transfer.pages.account.views import log_in_for_admin

handler400 = "transfer.pages.error_pages.bad_request"
handler404 = "transfer.pages.error_pages.not_found"
handler500 = "transfer.pages.error_pages.server_error"

urlpatterns = [
    # Ours notes it in the audit.
    path("admin/password_change/", RedirectView.as_view(pattern_name="change_password")),
    path("admin/login/", log_in_for_admin),
    path("admin/", admin.site.urls),
    path("", include("transfer.urls")),
]
