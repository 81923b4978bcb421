from django.urls import URLPattern, path, re_path

from transfer.views import (
    accounts,
    credentials,
    register_files,
    registers,
    server,
    servers,
    shops,
)

of_servers: list[URLPattern] = [
    path("servers/", servers.servers, name="servers"),
    path("servers/add/", servers.add, name="server_add"),
    path("servers/add/test/", server.form_test, name="server_add_test"),
    path("servers/<int:pk>/", server.server, name="server"),
    path("servers/<int:pk>/live/", server.server_live, name="server_live"),
    path("servers/<int:pk>/tasks/", server.server_tasks, name="server_tasks"),
    path("servers/<int:pk>/edit/", servers.edit, name="server_edit"),
    path("servers/<int:pk>/edit/test/", server.form_test, name="server_edit_test"),
    path("servers/<int:pk>/remove/", servers.remove, name="server_remove"),
    path("servers/<int:pk>/test/", server.server_test, name="server_test"),
    path(
        "servers/<int:pk>/reconciliation/",
        server.server_reconciliation,
        name="server_reconciliation",
    ),
    # Accounts of registers
    path("servers/<int:pk>/accounts/", accounts.server_accounts, name="server_accounts"),
    path("servers/<int:pk>/accounts/<int:job>/", accounts.account_job, name="account_job"),
    path("servers/<int:pk>/accounts/<int:job>/again/", accounts.job_again, name="job_again"),
    path(
        "servers/<int:pk>/accounts/<int:job>/show/",
        credentials.show,
        name="credentials_show",
    ),
    path(
        "servers/<int:pk>/accounts/<int:job>/download/",
        credentials.download,
        name="credentials_download",
    ),
    re_path(
        r"^accounts/(?P<pk>[0-9]{1,9})/(?P<action>block|unblock|delete)/$",
        accounts.account_change,
        name="account_change",
    ),
    # Registers and shops
    path("registers/", registers.registers, name="registers"),
    path("registers/add/", registers.add, name="register_add"),
    path("registers/import/", register_files.load, name="register_import"),
    path("registers/export.csv", register_files.export, name="register_export"),
    path("registers/<int:pk>/", registers.register, name="register"),
    path("registers/<int:pk>/edit/", registers.edit, name="register_edit"),
    path("registers/<int:pk>/remove/", registers.remove, name="register_remove"),
    path("registers/<int:pk>/mothball/", registers.mothball, name="register_mothball"),
    path("shops/", shops.shops, name="shops"),
    path("shops/add/", shops.add, name="shop_add"),
    path("shops/<int:pk>/edit/", shops.edit, name="shop_edit"),
    path("shops/<int:pk>/remove/", shops.remove, name="shop_remove"),
]
