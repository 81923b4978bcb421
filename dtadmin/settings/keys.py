"""Keys: SECRET_KEY signs and encrypts; METRICS_TOKEN opens /metrics."""

from django.core.exceptions import ImproperlyConfigured

from dtadmin.environment import env, env_list
from dtadmin.translation import gettext as _

SECRET_KEY = env("SECRET_KEY")
if not SECRET_KEY:
    raise ImproperlyConfigured(_("SECRET_KEY is not set. Set it to a long random text."))
SECRET_KEY_FALLBACKS = env_list("SECRET_KEY_FALLBACKS")
# Secrets at rest are encrypted with SECRET_KEY; the salt only separates them from its other uses.
SALT_KEY = "dtadmin.secrets-at-rest"
METRICS_TOKEN = env("METRICS_TOKEN")
