from django.urls import path

from transfer.views import overview, session

urlpatterns = [
    path("", overview.overview, name="overview"),
    # The user's own things
    path("login/", session.log_in, name="login"),
    path("logout/", session.log_out, name="logout"),
    path("account/", session.account, name="account"),
    path("account/password/", session.change_password, name="change_password"),
    path("account/timezone/", session.set_time_zone, name="set_time_zone"),
    path("language/", session.set_language, name="set_language"),
    path("theme/", session.set_theme, name="set_theme"),
]
