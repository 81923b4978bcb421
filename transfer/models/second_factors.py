"""Second factors of a log-in by password: who has one, and who must. allauth checks them.

Their secrets are encrypted by `cipher`, in the JSON of allauth's `Authenticator.data`.
"""

from collections.abc import Iterable

from allauth.mfa.models import Authenticator
from cryptography.fernet import InvalidToken
from django.contrib.auth.models import AnonymousUser, User as AuthUser

from transfer.access import Role, has_role
from transfer.models.secret import cipher
from transfer.models.settings import Settings

SECRETS = ("secret", "seed")  # of an app, and of recovery codes


def factors_of(user: AuthUser | AnonymousUser) -> list[str]:
    """The types of the user's second factors, such as "totp", in the order of setting up."""
    held = Authenticator.objects.filter(user_id=user.pk).order_by("pk")
    return list(dict.fromkeys(held.values_list("type", flat=True)))


def users_with_one() -> set[int]:
    """The keys of all users who have a second factor."""
    return set(Authenticator.objects.values_list("user_id", flat=True))


def is_required_of(user: AuthUser | AnonymousUser) -> bool:
    """Whether the settings require a second factor of the user's role."""
    level = Settings.load().second_factor_level
    return bool(level) and has_role(user, Role(level))


def encrypted() -> Iterable[Authenticator]:
    """All that have a secret, locked until the transaction ends."""
    locked = Authenticator.objects.select_for_update(of=("self",)).select_related("user")
    return locked.exclude(type=Authenticator.Type.WEBAUTHN)


def is_readable(one: Authenticator) -> bool:
    """Whether its secret can be decrypted with SECRET_KEY or SECRET_KEY_FALLBACKS."""
    try:
        for name in SECRETS:
            cipher().decrypt(one.data.get(name, cipher().encrypt(b"")))
    except InvalidToken:
        return False
    return True


def encrypt_again(one: Authenticator) -> None:
    """Encrypts its secret with the present SECRET_KEY. Raises InvalidToken if it is unreadable."""
    for name in SECRETS:
        if name in one.data:
            one.data[name] = cipher().encrypt(cipher().decrypt(one.data[name])).decode()
    one.save(update_fields=["data"])
