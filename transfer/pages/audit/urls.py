from django.urls import path

from transfer.pages.audit import views

urlpatterns = [path("audit/", views.audit, name="audit")]
