from django.urls import URLPattern, path

from transfer.views import users

of_users: list[URLPattern] = [
    path("users/", users.users, name="users"),
    path("users/add/", users.add, name="user_add"),
    path("users/<int:pk>/", users.edit, name="user"),
    path("users/<int:pk>/password/", users.new_password, name="user_password"),
    path("users/<int:pk>/close/", users.close, name="user_close"),
    path("users/<int:pk>/reopen/", users.reopen, name="user_reopen"),
]
