"""Settings of the reference bonus server, from its own environment variables."""

import os

from django.core.exceptions import ImproperlyConfigured
from psycopg2.extensions import parse_dsn

DATABASE_URL = os.environ.get("BONUSSERVER_DATABASE_URL", "")
if not DATABASE_URL:
    raise ImproperlyConfigured(
        "BONUSSERVER_DATABASE_URL is not set, for example postgresql://user:password@host/bonus"
    )

parts = parse_dsn(DATABASE_URL)
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": parts.pop("dbname", ""),
        "USER": parts.pop("user", ""),
        "PASSWORD": parts.pop("password", ""),
        "HOST": parts.pop("host", ""),
        "PORT": parts.pop("port", ""),
        "OPTIONS": {"application_name": "bonusserver", **parts},
    }
}
INSTALLED_APPS = ["bonusserver"]
SECRET_KEY = os.environ.get("BONUSSERVER_SECRET_KEY", "nothing is signed with it")
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
TIME_ZONE = "UTC"
