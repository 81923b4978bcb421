"""Files into the staging tables, and single changes."""

from django.urls import path, re_path

from transfer.pages.load import entry, views

FORM = r"\.(?P<form>csv|xlsx)$"

urlpatterns = [
    path("load/", views.loads, name="loads"),
    path("load/file/", views.upload_file, name="upload_file"),
    re_path(rf"^load/template/(?P<kind>[a-z]+){FORM}", views.template, name="load_template"),
    path("load/<int:pk>/", views.upload, name="upload"),
    path("load/<int:pk>/reading/", views.upload_reading, name="upload_reading"),
    path("load/<int:pk>/confirm/", views.upload_confirm, name="upload_confirm"),
    path("load/<int:pk>/discard/", views.upload_discard, name="upload_discard"),
    path("load/<int:pk>/again/", views.upload_again, name="upload_again"),
    re_path(
        rf"^load/(?P<pk>[0-9]{{1,18}})/bad-lines{FORM}",
        views.upload_bad_lines,
        name="upload_bad_lines",
    ),
    path("load/by-hand/<str:kind>/", entry.entry, name="entry"),
    path("load/by-hand/confirm/<int:pk>/", entry.confirm, name="entry_confirm"),
]
