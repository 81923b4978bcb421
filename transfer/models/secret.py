from functools import cache
from typing import Any

from cryptography.fernet import InvalidToken
from django.conf import settings
from django.db import models
from encrypted_fields.fields import EncryptedFieldMixin, EncryptedTextField

ENCRYPTED = "gAAAA"  # what every Fernet token begins with


def cipher() -> Any:
    """Encrypts secrets at rest with SECRET_KEY, and decrypts them, also with a former key."""
    return _cipher(settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)


@cache
def _cipher(*_secret_keys: str) -> Any:
    """Of these keys. The library takes 20 ms to derive its own from each, for each field."""
    return EncryptedFieldMixin().f


class WithSecrets:
    """A model that has secrets."""

    @property
    def is_readable(self) -> bool:
        """Whether SECRET_KEY is still the one that they were encrypted with."""
        secrets = [getattr(self, name) or "" for name in secret_names(self)]
        return not any(secret.startswith(ENCRYPTED) for secret in secrets)


def secret_names(model: Any) -> list[str]:
    """The fields of a model that are encrypted at rest."""
    return [one.name for one in model._meta.fields if isinstance(one, EncryptedFieldMixin)]


class SecretField(EncryptedTextField):
    """A text that is decrypted when it comes from the database, and nowhere else.

    The library decrypts in `to_python` as well, except while a mark on the field, which all threads
    share, says not to; a validation that fails leaves the mark there for good.
    """

    clean = models.TextField.clean
    to_python = models.TextField.to_python

    @property
    def f(self) -> Any:
        """The library's name for the cipher of a field."""
        return cipher()

    def from_db_value(self, value: Any, expression: Any, connection: Any) -> Any:
        """Decrypts; with another key the value stays as it is: see BonusServer.check_secrets."""
        if not value:
            return value
        try:
            return self.f.decrypt(value.encode()).decode()
        except InvalidToken:
            return value
