"""Pages: languages, time zone, templates, and how tables, filters and notices look."""

from zoneinfo import ZoneInfo

from django.core.exceptions import ImproperlyConfigured
from django.utils.translation import gettext_lazy

from dtadmin.environment import BASE_DIR, env
from dtadmin.translation import gettext as _

LANGUAGE_CODE = env("DTADMIN_LANGUAGE") or "ru"
LANGUAGES = [("ru", gettext_lazy("Russian")), ("en", gettext_lazy("English"))]
if LANGUAGE_CODE not in dict(LANGUAGES):
    raise ImproperlyConfigured(_("DTADMIN_LANGUAGE must be ru or en."))
LOCALE_PATHS = [BASE_DIR / "transfer" / "locale"]
LANGUAGE_COOKIE_AGE = 365 * 24 * 3600
LANGUAGE_COOKIE_HTTPONLY = True
LANGUAGE_COOKIE_SAMESITE = "Lax"
TIME_ZONE = env("TIME_ZONE") or "Europe/Moscow"
try:
    ZoneInfo(TIME_ZONE)
except (KeyError, OSError, ValueError):  # no such file, a folder, a path
    _text = _("TIME_ZONE: there is no time zone %(zone)s. Name one such as Europe/Moscow.")
    raise ImproperlyConfigured(_text % {"zone": TIME_ZONE}) from None

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
FORM_RENDERER = "django.forms.renderers.TemplatesSetting"

# Level of a message → tone of its notice.
MESSAGE_TAGS = {20: "info", 25: "ok", 30: "warn", 40: "bad"}
DJANGO_TABLES2_TEMPLATE = "tables/table.html"
DJANGO_TABLES2_TABLE_ATTRS = {"class": "table cards"}
FILTERS_EMPTY_CHOICE_LABEL = gettext_lazy("All")
