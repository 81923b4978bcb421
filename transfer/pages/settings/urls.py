from django.urls import path

from transfer.pages.settings import views

urlpatterns = [path("settings/", views.settings, name="settings")]
