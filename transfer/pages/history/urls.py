from django.urls import URLPattern, path

from transfer.models import MaintenanceRun, TransferRun
from transfer.models.run_base import Run
from transfer.pages.history import run, views


def runs_of(base: str, name: str, model: type[Run]) -> list[URLPattern]:
    """The pages of one run, of either kind."""
    start = f"{base}/<int:pk>/"
    kind = {"model": model}
    return [
        path(start, run.run, kind, name=name),
        path(f"{start}live/", run.run_live, kind, name=f"{name}_live"),
        path(f"{start}row/", run.run_row, kind, name=f"{name}_row"),
        path(f"{start}cancel/", run.run_cancel, kind, name=f"{name}_cancel"),
        path(f"{start}again/", run.run_again, kind, name=f"{name}_again"),
    ]


def history_of(base: str, name: str, **which: object) -> list[URLPattern]:
    """A list of runs, and the same as files."""
    return [
        path(base, views.history, which, name=name),
        path(f"{base}export.csv", views.export, which | {"form": "csv"}, name=f"{name}_csv"),
        path(f"{base}export.xlsx", views.export, which | {"form": "xlsx"}, name=f"{name}_xlsx"),
    ]


urlpatterns = [
    *history_of("history/", "history"),
    *history_of("history/maintenance/", "history_maintenance", of=views.MAINTENANCE),
    *runs_of("history/runs", "run", TransferRun),
    *runs_of("history/maintenance/runs", "maintenance_run", MaintenanceRun),
]
