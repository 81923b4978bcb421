from django.urls import path

from transfer.pages.users import views

urlpatterns = [
    path("users/", views.users, name="users"),
    path("users/unlock/", views.unlock, name="users_unlock"),
    path("users/add/", views.add, name="user_add"),
    path("users/<int:pk>/", views.edit, name="user"),
    path("users/<int:pk>/password/", views.new_password, name="user_password"),
    path("users/<int:pk>/close/", views.close, name="user_close"),
    path("users/<int:pk>/reopen/", views.reopen, name="user_reopen"),
]
