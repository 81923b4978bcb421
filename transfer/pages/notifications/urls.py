from django.urls import path

from transfer.pages.notifications import views

urlpatterns = [
    path("notifications/", views.notifications, name="notifications"),
    path("notifications/add/", views.add, name="recipient_add"),
    path("notifications/<int:pk>/", views.edit, name="recipient"),
    path("notifications/<int:pk>/test/", views.test, name="recipient_test"),
    path("notifications/<int:pk>/remove/", views.remove, name="recipient_remove"),
    path("notifications/work/add/", views.plan_work, name="work_add"),
    path("notifications/work/<int:pk>/end/", views.end_work, name="work_end"),
]
