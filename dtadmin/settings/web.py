"""The web server: its addresses, the proxy before it, cookies, uploads, static files."""

from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured

from dtadmin.environment import BASE_DIR, DEBUG, env, env_list
from dtadmin.translation import gettext as _

ALLOWED_HOSTS = env_list("ALLOWED_HOSTS", "localhost,127.0.0.1,[::1]")
CSRF_TRUSTED_ORIGINS = env_list("CSRF_TRUSTED_ORIGINS")
SITE_URL = env("SITE_URL")
CSRF_FAILURE_VIEW = "transfer.pages.error_pages.forged"

# Where the package's pages listen for a proxy of this machine: deb/systemd/dtadmin-proxy.socket.
PROXY_SOCKET = Path("/run/dtadmin/web.sock")
UNIX = "unix"
# The HTTPS proxy: all that connect to our Unix socket, or these addresses; empty: there is none.
BEHIND_PROXY: str | list[IPv4Network | IPv6Network] = env("BEHIND_PROXY")
if BEHIND_PROXY != UNIX:
    try:
        BEHIND_PROXY = [ip_network(address) for address in env_list("BEHIND_PROXY")]
    except ValueError:
        raise ImproperlyConfigured(
            _("BEHIND_PROXY must be unix or the address of the HTTPS proxy, such as 127.0.0.1.")
        ) from None
if BEHIND_PROXY:
    # Accepted from the proxy only: see dtadmin.middleware.TrueAddress.
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    SECURE_SSL_REDIRECT = True
    SECURE_REDIRECT_EXEMPT = ["^health/", "^metrics$"]  # machines ask past the proxy
    SECURE_HSTS_SECONDS = 365 * 24 * 3600
    SECURE_HSTS_INCLUDE_SUBDOMAINS = True
    SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = LANGUAGE_COOKIE_SECURE = True
    # The lists that browsers bring along are for names of the whole world.
    SILENCED_SYSTEM_CHECKS = ["security.W021"]

# A file of registers, of 2 MB, comes back with its confirmation.
DATA_UPLOAD_MAX_MEMORY_SIZE = 4 << 20
# A form with files is read only where transfer.pages.uploading says so.
FILE_UPLOAD_HANDLERS = ["transfer.pages.uploading.NothingTaken"]

# What all processes of the web server know: see gunicorn.conf.py.
if shared := env("PROMETHEUS_MULTIPROC_DIR"):
    CACHES = {
        "default": {
            "BACKEND": "django.core.cache.backends.filebased.FileBasedCache",
            "LOCATION": f"{shared}/cache",
        }
    }

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
    # Kept for ever. The admin's styles name their images without a hash.
    WHITENOISE_IMMUTABLE_FILE_TEST = f"^/{STATIC_URL}(?!admin/)"


SECRET_KEY = env("SECRET_KEY")
if not SECRET_KEY:
    raise ImproperlyConfigured(_("SECRET_KEY is not set. Set it to a long random text."))
SECRET_KEY_FALLBACKS = env_list("SECRET_KEY_FALLBACKS")
# Secrets at rest are encrypted with SECRET_KEY; the salt only separates them from its other uses.
SALT_KEY = "dtadmin.secrets-at-rest"
METRICS_TOKEN = env("METRICS_TOKEN")
