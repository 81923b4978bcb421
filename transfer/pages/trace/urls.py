from django.urls import path

from transfer.pages.trace import views

urlpatterns = [path("trace/", views.trace, name="trace")]
