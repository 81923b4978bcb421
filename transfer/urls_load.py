"""Files into the staging tables, single changes, and the trace."""

from django.urls import URLPattern, path, re_path

from transfer.views import entry, load, trace

of_loads: list[URLPattern] = [
    path("load/", load.loads, name="loads"),
    path("load/file/", load.upload_file, name="upload_file"),
    re_path(
        r"^load/template/(?P<kind>[a-z]+)\.(?P<form>csv|xlsx)$", load.template, name="load_template"
    ),
    path("load/<int:pk>/", load.upload, name="upload"),
    path("load/<int:pk>/reading/", load.upload_reading, name="upload_reading"),
    path("load/<int:pk>/confirm/", load.upload_confirm, name="upload_confirm"),
    path("load/<int:pk>/discard/", load.upload_discard, name="upload_discard"),
    path("load/<int:pk>/again/", load.upload_again, name="upload_again"),
    re_path(
        r"^load/(?P<pk>[0-9]{1,18})/bad-lines\.(?P<form>csv|xlsx)$",
        load.upload_bad_lines,
        name="upload_bad_lines",
    ),
    path("load/by-hand/<str:kind>/", entry.entry, name="entry"),
    path("load/by-hand/confirm/<int:pk>/", entry.confirm, name="entry_confirm"),
    path("trace/", trace.trace, name="trace"),
]
