"""What Django loads: apps, middleware, addresses, the queue of jobs."""

from importlib.util import find_spec

ROOT_URLCONF = "transfer.urls"
WSGI_APPLICATION = "dtadmin.wsgi.application"

INSTALLED_APPS = [
    "transfer",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.postgres",
    "django.forms",
    "django_filters",
    "django_htmx",
    "django_tables2",
    "django_tasks_db",
    "encrypted_fields",
    "allauth.account",
    "allauth.mfa",
    "allauth.socialaccount",
]
if find_spec("django_crontab"):  # the schedule can do without cron
    INSTALLED_APPS += ["django_crontab"]
if find_spec("django.tasks") is None:  # Django before 6.0
    INSTALLED_APPS += ["django_tasks"]
# Without "QUEUES", only the queue "default" may be used: each bonus server has one of its own.
TASKS = {"default": {"BACKEND": "django_tasks_db.DatabaseBackend", "QUEUES": []}}

MIDDLEWARE = [
    "dtadmin.middleware.TrueAddress",
    "dtadmin.middleware.request_number",
    "transfer.pages.monitoring.metrics.counted",
    "django.middleware.security.SecurityMiddleware",
    "django.middleware.gzip.GZipMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "dtadmin.middleware.ContentPolicy",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "dtadmin.middleware.LanguageMiddleware",
    "dtadmin.middleware.time_zone",
    "django.middleware.common.CommonMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "transfer.pages.account.renewal.provider_session",
    "transfer.pages.middleware.LoginRequired",
    "transfer.access.RoleMiddleware",
    "transfer.pages.uploading.Uploads",
    # The first that reads what was sent: not before log-in and role have been asked.
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "transfer.pages.middleware.keep_session",
    "transfer.pages.middleware.never_stored",
    "transfer.pages.middleware.not_allowed",
]
