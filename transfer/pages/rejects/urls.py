from django.urls import path

from transfer.pages.rejects import bulk, files, views

urlpatterns = [
    path("rejects/", views.rejects, name="rejects"),
    path("rejects/export.csv", files.rejects_csv, name="rejects_csv"),
    path("rejects/export.xlsx", files.rejects_xlsx, name="rejects_xlsx"),
    path("rejects/resend/", bulk.rejects_resend, name="rejects_resend"),
    path("rejects/discard/", bulk.rejects_discard, name="rejects_discard"),
    path("rejects/<int:pk>/", views.reject, name="reject"),
    path("rejects/<int:pk>/resend/", views.reject_resend, name="reject_resend"),
    path("rejects/<int:pk>/discard/", views.reject_discard, name="reject_discard"),
]
