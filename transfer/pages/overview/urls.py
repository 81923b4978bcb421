from django.urls import path

from transfer.pages.overview import views

urlpatterns = [path("", views.overview, name="overview")]
