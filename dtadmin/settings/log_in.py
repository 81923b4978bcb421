"""Log-ins: passwords, second factors, sessions, the company's provider."""

from urllib.parse import urlsplit

from django.core.exceptions import ImproperlyConfigured

from dtadmin.environment import env, env_list, env_number
from dtadmin.translation import gettext as _

LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "overview"
LOGOUT_REDIRECT_URL = "account_login"
SESSION_COOKIE_AGE = 3600 * env_number("SESSION_HOURS", 12)

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]

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

# An installation that relied on it would otherwise start with another way to log in, unnoticed.
if env("REMOTE_USER_HEADER"):
    raise ImproperlyConfigured(
        _(
            "REMOTE_USER_HEADER no longer exists. Remove it and let users log in at a provider "
            "instead: set OIDC_ISSUER."
        )
    )

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
