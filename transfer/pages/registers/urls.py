from django.urls import path

from transfer.pages.registers import files, shops, views

urlpatterns = [
    path("registers/", views.registers, name="registers"),
    path("registers/add/", views.add, name="register_add"),
    path("registers/import/", files.load, name="register_import"),
    path("registers/export.csv", files.export, name="register_export"),
    path("registers/<int:pk>/", views.register, name="register"),
    path("registers/<int:pk>/edit/", views.edit, name="register_edit"),
    path("registers/<int:pk>/remove/", views.remove, name="register_remove"),
    path("registers/<int:pk>/mothball/", views.mothball, name="register_mothball"),
    path("shops/", shops.shops, name="shops"),
    path("shops/add/", shops.add, name="shop_add"),
    path("shops/<int:pk>/edit/", shops.edit, name="shop_edit"),
    path("shops/<int:pk>/remove/", shops.remove, name="shop_remove"),
]
