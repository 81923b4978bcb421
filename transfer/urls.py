"""Every address of the product, and the view that answers it: page by page."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path, re_path
from django.utils.module_loading import import_string
from django.views.generic import RedirectView

from transfer.access import View, any_user
from transfer.http_api import door as api
from transfer.models import MaintenanceRun, TransferRun
from transfer.models.run_base import Run
from transfer.pages.account import views as account
from transfer.pages.approvals import views as approvals
from transfer.pages.audit import views as audit
from transfer.pages.by_hand import views as by_hand
from transfer.pages.help import views as help
from transfer.pages.history import grid, run, views as history
from transfer.pages.keys import views as keys
from transfer.pages.load import arrival, entry, undo_page, views as load
from transfer.pages.monitoring import health, metrics
from transfer.pages.notifications import views as notifications
from transfer.pages.overview import link, problem, views as overview
from transfer.pages.questions import bulletins, missing, restored
from transfer.pages.registers import import_and_export as register_files, views as registers
from transfer.pages.rejects import (
    bulk as rejects_bulk,
    changed as rejects_changed,
    export as rejects_files,
    grid as rejects_grid,
    views as rejects,
)
from transfer.pages.scheduler import bulk, task, views as scheduler
from transfer.pages.servers import (
    accounts,
    beginning,
    credentials,
    left_behind,
    pause,
    server,
    views as servers,
)
from transfer.pages.settings import views as settings
from transfer.pages.statements import views as statements
from transfer.pages.trace import views as trace
from transfer.pages.users import views as users

FORM = r"\.(?P<form>csv|xlsx)$"
JOB = "servers/<int:pk>/accounts/<int:job>/"
TASK = r"^scheduler/(?P<key>(?:transfer|maintenance)-[0-9]{1,9})/"


def lazily(view: str, *, is_open: bool = False) -> View:
    """The view of this name in pages/account/; `is_open`: also without a log-in.

    It is imported when the first request comes. Commands that make links to pages read all
    addresses, and what these views need, such as `requests` and `fido2`, would take them a tenth of
    a second. The middleware asks before the view is imported, so who may see it is said here.
    """

    def imported(request: HttpRequest, **kwargs: Any) -> HttpResponse:
        return import_string(f"transfer.pages.account.{view}")(request, **kwargs)

    imported.login_required = not is_open  # type: ignore[attr-defined]
    return any_user(imported)


def listed(base: str, page: View, export: View, name: str, **which: object) -> list[URLPattern]:
    """A list, and the same as files."""
    return [
        path(base, page, which, name=name),
        path(f"{base}export.csv", export, which | {"form": "csv"}, name=f"{name}_csv"),
        path(f"{base}export.xlsx", export, which | {"form": "xlsx"}, name=f"{name}_xlsx"),
    ]


def runs_of(base: str, name: str, model: type[Run]) -> list[URLPattern]:
    """The pages of one run, of either kind."""
    start, kind = f"{base}/<int:pk>/", {"model": model}
    return [
        path(start, run.run, kind | {"page": "history/run.html"}, name=name),
        path(f"{start}live/", run.run, kind | {"page": "history/live.html"}, name=f"{name}_live"),
        path(f"{start}row/", run.run_row, kind, name=f"{name}_row"),
        path(f"{start}cancel/", run.run_cancel, kind, name=f"{name}_cancel"),
        path(f"{start}again/", run.run_again, kind, name=f"{name}_again"),
    ]


handler400 = "transfer.pages.error_pages.bad_request"
handler404 = "transfer.pages.error_pages.not_found"
handler500 = "transfer.pages.error_pages.server_error"

urlpatterns = [
    path("", overview.overview, name="overview"),
    path("problems/take/", problem.take_several, name="problems_take"),
    path("problems/<int:pk>/", problem.problem, name="problem"),
    path("problems/<int:pk>/take/", problem.take, name="problem_take"),
    path("problems/<int:pk>/give-back/", problem.give_back, name="problem_give_back"),
    path("problems/<int:pk>/mute/", problem.mute, name="problem_mute"),
    path("problems/<int:pk>/unmute/", problem.unmute, name="problem_unmute"),
    re_path(r"^take/(?P<token>[\w.=-]{20,300})/$", link.take, name="take"),
    path("restored/", restored.restored, name="restored"),
    path("restored/lost.csv", restored.lost_file, name="restored_lost"),
    path("missing/", missing.rows_missing, name="rows_missing"),
    path("missing/<str:kind>/forget/", missing.forget, name="rows_forget"),
    path("bulletins/<int:pk>/", bulletins.bulletin, name="bulletin"),
    path("bulletins/<int:pk>/dismiss/", bulletins.dismiss, name="bulletin_dismiss"),
    path("scheduler/", scheduler.scheduler, name="scheduler"),
    path("scheduler/show/", scheduler.show_transfers, name="scheduler_show"),
    path("scheduler/bulk/", bulk.bulk, name="scheduler_bulk"),
    re_path(f"{TASK}$", task.task, name="task"),
    re_path(f"{TASK}switch/$", task.switch, name="task_switch"),
    re_path(f"{TASK}undo/$", task.undo, name="task_undo"),
    re_path(f"{TASK}reason/$", task.explain, name="task_explain"),
    re_path(f"{TASK}run/$", task.run, name="task_run"),
    re_path(f"{TASK}cancel/$", task.cancel, name="task_cancel"),
    re_path(f"{TASK}pause/$", task.pause, name="task_pause"),
    re_path(f"{TASK}resume/$", task.resume, name="task_resume"),
    re_path(f"{TASK}schedule/$", task.schedule, name="task_schedule"),
    path("servers/", servers.servers, name="servers"),
    path("servers/add/", servers.add, name="server_add"),
    path("servers/add/test/", server.form_test, name="server_add_test"),
    path("servers/<int:pk>/", server.server, name="server"),
    path("servers/<int:pk>/live/", server.server_live, name="server_live"),
    path("servers/<int:pk>/tasks/", server.server_tasks, name="server_tasks"),
    path("servers/<int:pk>/edit/", servers.edit, name="server_edit"),
    path("servers/<int:pk>/edit/test/", server.form_test, name="server_edit_test"),
    path("servers/<int:pk>/pause/", pause.pause, name="server_pause"),
    path("servers/<int:pk>/leave-behind/", left_behind.leave, name="server_leave_behind"),
    path("servers/<int:pk>/take-back/", left_behind.take_back, name="server_take_back"),
    path("servers/<int:pk>/remove/", servers.remove, name="server_remove"),
    path("servers/<int:pk>/beginning/", beginning.beginning, name="server_beginning"),
    path("servers/<int:pk>/own-name/", beginning.own_name, name="server_own_name"),
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
        r"^accounts/(?P<pk>[0-9]{1,9})/(?P<action>block|unblock|delete|renew)/$",
        accounts.account_change,
        name="account_change",
    ),
    path("registers/", registers.registers, name="registers"),
    path("registers/add/", registers.edit, name="register_add"),
    path("registers/import/", register_files.load, name="register_import"),
    path("registers/export.csv", register_files.export, name="register_export"),
    path("registers/<int:pk>/", registers.register, name="register"),
    path("registers/<int:pk>/edit/", registers.edit, name="register_edit"),
    path("registers/<int:pk>/remove/", registers.remove, name="register_remove"),
    path("registers/<int:pk>/mothball/", registers.mothball, name="register_mothball"),
    path("shops/", registers.shops, name="shops"),
    path("shops/add/", registers.shop_edit, name="shop_add"),
    path("shops/<int:pk>/edit/", registers.shop_edit, name="shop_edit"),
    path("shops/<int:pk>/remove/", registers.shop_remove, name="shop_remove"),
    *listed("history/", history.history, history.export, "history"),
    path("history/grid/", grid.grid, name="history_grid"),
    *listed(
        "history/maintenance/",
        history.history,
        history.export,
        "history_maintenance",
        of=history.MAINTENANCE,
    ),
    *runs_of("history/runs", "run", TransferRun),
    *runs_of("history/maintenance/runs", "maintenance_run", MaintenanceRun),
    *listed("rejects/", rejects.rejects, rejects_files.export, "rejects"),
    path("rejects/resend/", rejects_bulk.rejects_resend, name="rejects_resend"),
    path("rejects/grid/", rejects_grid.rejects_grid, name="rejects_grid"),
    path("rejects/discard/", rejects_bulk.rejects_discard, name="rejects_discard"),
    path("rejects/changed/", rejects_changed.changed, name="changed"),
    path("rejects/changed/decide/", rejects_changed.changed_decide, name="changed_decide"),
    path("rejects/<int:pk>/", rejects.reject, name="reject"),
    path("rejects/<int:pk>/resend/", rejects.reject_resend, name="reject_resend"),
    path("rejects/<int:pk>/discard/", rejects.reject_discard, name="reject_discard"),
    path("load/", load.loads, name="loads"),
    path("load/file/", load.upload_file, name="upload_file"),
    re_path(rf"^load/template/(?P<kind>[a-z]+){FORM}", load.template, name="load_template"),
    path("load/<int:pk>/", load.upload, name="upload"),
    path("load/<int:pk>/arrival/", arrival.arrival, name="upload_arrival"),
    path("load/<int:pk>/run/", arrival.run, name="upload_run"),
    path("load/<int:pk>/reading/", load.upload_reading, name="upload_reading"),
    path("load/<int:pk>/confirm/", load.upload_confirm, name="upload_confirm"),
    path("load/<int:pk>/discard/", load.upload_discard, name="upload_discard"),
    path("load/<int:pk>/again/", load.upload_again, name="upload_again"),
    path("load/<int:pk>/undo/", undo_page.undo, name="upload_undo"),
    re_path(rf"^load/(?P<pk>[0-9]{{1,18}})/rest{FORM}", undo_page.rest, name="upload_rest"),
    re_path(
        rf"^load/(?P<pk>[0-9]{{1,18}})/bad-lines{FORM}",
        load.upload_bad_lines,
        name="upload_bad_lines",
    ),
    path("load/by-hand/<str:kind>/", entry.entry, name="entry"),
    path("load/by-hand/confirm/<int:pk>/", entry.confirm, name="entry_confirm"),
    path("trace/", trace.trace, name="trace"),
    path("settings/", settings.settings, name="settings"),
    *listed("audit/", audit.audit, audit.export, "audit"),
    path("users/", users.users, name="users"),
    path("users/unlock/", users.unlock, name="users_unlock"),
    path("users/add/", users.add, name="user_add"),
    path("users/<int:pk>/", users.edit, name="user"),
    path("users/<int:pk>/password/", users.new_password, name="user_password"),
    path("users/<int:pk>/factors/", users.reset_factors, name="user_factors"),
    path("users/<int:pk>/close/", users.close, name="user_close"),
    path("users/<int:pk>/reopen/", users.reopen, name="user_reopen"),
    path("keys/", keys.keys, name="keys"),
    path("keys/add/", keys.add, name="key_add"),
    path("keys/<int:pk>/revoke/", keys.revoke, name="key_revoke"),
    # Names that begin with "account_" and "mfa_" are those that allauth knows them by.
    path("login/", account.log_in, name="account_login"),
    path(
        "login/passkey/",
        lazily("second_factors.log_in_by_passkey", is_open=True),
        name="mfa_login_webauthn",
    ),
    re_path(
        "^login/(?P<provider_id>sso)/$",
        lazily("provider.log_in", is_open=True),
        name="openid_connect_login",
    ),
    re_path(
        "^login/(?P<provider_id>sso)/callback/$",
        lazily("provider.callback", is_open=True),
        name="openid_connect_callback",
    ),
    path("login/code/", lazily("second_factors.enter_code", is_open=True), name="mfa_authenticate"),
    path("logout/", account.log_out, name="logout"),
    path("account/", account.account, name="account"),
    path("account/password/", account.change_password, name="change_password"),
    path(
        "account/confirm/",
        lazily("second_factors.confirm_by_password"),
        name="account_reauthenticate",
    ),
    path(
        "account/confirm/code/", lazily("second_factors.confirm_by_code"), name="mfa_reauthenticate"
    ),
    path(
        "account/confirm/passkey/",
        lazily("second_factors.confirm_by_passkey"),
        name="mfa_reauthenticate_webauthn",
    ),
    path("account/factors/", lazily("second_factors.second_factors"), name="mfa_index"),
    path("account/factors/app/", lazily("second_factors.activate_app"), name="mfa_activate_totp"),
    path(
        "account/factors/app/remove/",
        lazily("second_factors.remove_app"),
        name="mfa_deactivate_totp",
    ),
    path(
        "account/factors/passkeys/", lazily("second_factors.add_passkey"), name="mfa_add_webauthn"
    ),
    path(
        "account/factors/passkeys/<int:pk>/",
        lazily("second_factors.remove_passkey"),
        name="mfa_remove_webauthn",
    ),
    path(
        "account/factors/codes/",
        lazily("second_factors.recovery_codes"),
        name="mfa_view_recovery_codes",
    ),
    path(
        "account/factors/codes/new/",
        lazily("second_factors.renew_codes"),
        name="mfa_generate_recovery_codes",
    ),
    path("account/timezone/", account.set_time_zone, name="set_time_zone"),
    path("language/", account.set_language, name="set_language"),
    path("theme/", account.set_theme, name="set_theme"),
    path("approvals/", approvals.approvals, name="approvals"),
    path("approvals/<int:pk>/", approvals.approval, name="approval"),
    path("approvals/<int:pk>/approve/", approvals.approve, name="approval_approve"),
    path("approvals/<int:pk>/refuse/", approvals.refuse, name="approval_refuse"),
    *listed("by_hand/", by_hand.by_hand, by_hand.export, "by_hand"),
    path("statements/", statements.statements, name="statements"),
    path("statements/make/", statements.make_statement, name="statement_make"),
    path("statements/<int:number>/", statements.statement, name="statement"),
    path("statements/<int:number>.json", statements.signed_file, name="statement_json"),
    path("statements/<int:number>.xlsx", statements.workbook, name="statement_xlsx"),
    path("notifications/", notifications.notifications, name="notifications"),
    path("notifications/add/", notifications.add, name="recipient_add"),
    path("notifications/<int:pk>/", notifications.edit, name="recipient"),
    path("notifications/<int:pk>/test/", notifications.test, name="recipient_test"),
    path("notifications/<int:pk>/remove/", notifications.remove, name="recipient_remove"),
    path("notifications/planned/add/", notifications.plan_work, name="work_add"),
    path("notifications/planned/<int:pk>/end/", notifications.end_work, name="work_end"),
    path("help/", help.contents, name="help"),
    path("help/api/openapi.json", help.operations, name="help_operations"),
    re_path(
        r"^help/(?:(?P<language>[a-z]{2})/)?(?P<name>[\w-]+)\.md$", help.paper, name="help_paper"
    ),
    re_path(
        r"^help/(?P<language>[a-z]{2})/pictures/(?P<name>[\w-]+)\.png$",
        help.picture,
        name="help_picture",
    ),
    path("health/live", health.live, name="health_live"),
    path("health/database", health.database, name="health_database"),
    path("health/ready", health.ready, name="health_ready"),
    # Also with a line break, which is no "." of a pattern.
    re_path(r"^api/(?P<path>[\s\S]*)\Z", api.answer, name="api"),
    path("metrics", metrics.metrics, name="metrics"),
    # Ours log in and note a new password in the audit; the rest of the admin is Django's.
    path("admin/login/", account.log_in_for_admin),
    path("admin/password_change/", RedirectView.as_view(pattern_name="change_password")),
    path("admin/", admin.site.urls),
]
