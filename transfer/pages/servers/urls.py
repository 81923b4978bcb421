from django.urls import path, re_path

from transfer.pages.servers import accounts, credentials, server, views

JOB = "servers/<int:pk>/accounts/<int:job>/"

urlpatterns = [
    path("servers/", views.servers, name="servers"),
    path("servers/add/", views.add, name="server_add"),
    path("servers/add/test/", server.form_test, name="server_add_test"),
    path("servers/<int:pk>/", server.server, name="server"),
    path("servers/<int:pk>/live/", server.server_live, name="server_live"),
    path("servers/<int:pk>/tasks/", server.server_tasks, name="server_tasks"),
    path("servers/<int:pk>/edit/", views.edit, name="server_edit"),
    path("servers/<int:pk>/edit/test/", server.form_test, name="server_edit_test"),
    path("servers/<int:pk>/remove/", views.remove, name="server_remove"),
    path("servers/<int:pk>/test/", server.server_test, name="server_test"),
    path(
        "servers/<int:pk>/reconciliation/",
        server.server_reconciliation,
        name="server_reconciliation",
    ),
    path("servers/<int:pk>/accounts/", accounts.server_accounts, name="server_accounts"),
    path(JOB, accounts.account_job, name="account_job"),
    path(f"{JOB}again/", accounts.job_again, name="job_again"),
    path(f"{JOB}show/", credentials.show, name="credentials_show"),
    path(f"{JOB}download/", credentials.download, name="credentials_download"),
    re_path(
        r"^accounts/(?P<pk>[0-9]{1,9})/(?P<action>block|unblock|delete)/$",
        accounts.account_change,
        name="account_change",
    ),
]
