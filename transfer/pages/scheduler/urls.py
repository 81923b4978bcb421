from django.urls import path, re_path

from transfer.pages.scheduler import bulk, task, views

KEY = r"^scheduler/(?P<key>(?:transfer|maintenance)-[0-9]{1,9})/"

urlpatterns = [
    path("scheduler/", views.scheduler, name="scheduler"),
    path("scheduler/show/", views.show_transfers, name="scheduler_show"),
    path("scheduler/bulk/", bulk.bulk, name="scheduler_bulk"),
    re_path(f"{KEY}$", task.task, name="task"),
    re_path(f"{KEY}switch/$", task.switch, name="task_switch"),
    re_path(f"{KEY}undo/$", task.undo, name="task_undo"),
    re_path(f"{KEY}reason/$", task.explain, name="task_explain"),
    re_path(f"{KEY}run/$", task.run, name="task_run"),
    re_path(f"{KEY}cancel/$", task.cancel, name="task_cancel"),
    re_path(f"{KEY}pause/$", task.pause, name="task_pause"),
    re_path(f"{KEY}resume/$", task.resume, name="task_resume"),
    re_path(f"{KEY}schedule/$", task.schedule, name="task_schedule"),
]
