from django.contrib import admin
from django.urls import include, path

handler400 = "transfer.views.errors.bad_request"
handler500 = "transfer.views.errors.server_error"

urlpatterns = [
    path("admin/", admin.site.urls),
    path("", include("transfer.urls")),
]
