from django.urls import URLPattern, path, re_path

from transfer.models import MaintenanceRun, TransferRun
from transfer.models.run_base import Run
from transfer.urls_load import of_loads
from transfer.urls_servers import of_servers
from transfer.urls_users import of_users
from transfer.views import (
    audit,
    bulk,
    exports,
    history,
    overview,
    rejects,
    rejects_bulk,
    runs,
    scheduler,
    session,
    settings,
    tasks,
)


def runs_of(base: str, name: str, model: type[Run]) -> list[URLPattern]:
    """The pages of one run, of either kind."""
    start = f"{base}/<int:pk>/"
    kind = {"model": model}
    return [
        path(start, runs.run, kind, name=name),
        path(f"{start}live/", runs.run_live, kind, name=f"{name}_live"),
        path(f"{start}row/", runs.run_row, kind, name=f"{name}_row"),
        path(f"{start}cancel/", runs.run_cancel, kind, name=f"{name}_cancel"),
        path(f"{start}again/", runs.run_again, kind, name=f"{name}_again"),
    ]


def of_tasks() -> list[URLPattern]:
    """A task's page, and what is done to it; `key` is "transfer-12" or "maintenance-1"."""
    key = r"^scheduler/(?P<key>(?:transfer|maintenance)-[0-9]{1,9})/"
    return [
        re_path(f"{key}$", tasks.task, name="task"),
        re_path(f"{key}switch/$", tasks.switch, name="task_switch"),
        re_path(f"{key}undo/$", tasks.undo, name="task_undo"),
        re_path(f"{key}reason/$", tasks.explain, name="task_explain"),
        re_path(f"{key}run/$", tasks.run, name="task_run"),
        re_path(f"{key}cancel/$", tasks.cancel, name="task_cancel"),
        re_path(f"{key}pause/$", tasks.pause, name="task_pause"),
        re_path(f"{key}resume/$", tasks.resume, name="task_resume"),
        re_path(f"{key}schedule/$", tasks.schedule, name="task_schedule"),
    ]


urlpatterns: list[URLPattern] = [
    path("", overview.overview, name="overview"),
    # The tasks
    path("scheduler/", scheduler.scheduler, name="scheduler"),
    path("scheduler/show/", scheduler.show_transfers, name="scheduler_show"),
    path("scheduler/bulk/", bulk.bulk, name="scheduler_bulk"),
    *of_tasks(),
    # Bonus servers, registers, shops
    *of_servers,
    # Every run there was
    path("history/", history.history, name="history"),
    path("history/export.csv", history.export, {"form": "csv"}, name="history_csv"),
    path("history/export.xlsx", history.export, {"form": "xlsx"}, name="history_xlsx"),
    path(
        "history/maintenance/",
        history.history,
        {"kept": history.MAINTENANCE},
        name="history_maintenance",
    ),
    path(
        "history/maintenance/export.csv",
        history.export,
        {"form": "csv", "kept": history.MAINTENANCE},
        name="history_maintenance_csv",
    ),
    path(
        "history/maintenance/export.xlsx",
        history.export,
        {"form": "xlsx", "kept": history.MAINTENANCE},
        name="history_maintenance_xlsx",
    ),
    *runs_of("history/runs", "run", TransferRun),
    *runs_of("history/maintenance/runs", "maintenance_run", MaintenanceRun),
    # For administrators
    path("settings/", settings.settings, name="settings"),
    path("audit/", audit.audit, name="audit"),
    *of_users,
    # Files into the staging tables, single changes, the trace
    *of_loads,
    # Rows that did not pass the checks
    path("rejects/", rejects.rejects, name="rejects"),
    path("rejects/export.csv", exports.rejects_csv, name="rejects_csv"),
    path("rejects/export.xlsx", exports.rejects_xlsx, name="rejects_xlsx"),
    path("rejects/resend/", rejects_bulk.rejects_resend, name="rejects_resend"),
    path("rejects/discard/", rejects_bulk.rejects_discard, name="rejects_discard"),
    path("rejects/<int:pk>/", rejects.reject, name="reject"),
    path("rejects/<int:pk>/resend/", rejects.reject_resend, name="reject_resend"),
    path("rejects/<int:pk>/discard/", rejects.reject_discard, name="reject_discard"),
    # The user's own things
    path("login/", session.log_in, name="login"),
    path("logout/", session.log_out, name="logout"),
    path("account/", session.account, name="account"),
    path("account/password/", session.change_password, name="change_password"),
    path("account/timezone/", session.set_time_zone, name="set_time_zone"),
    path("language/", session.set_language, name="set_language"),
    path("theme/", session.set_theme, name="set_theme"),
]
