"""Secrets at rest."""

from transfer.models import BonusServer, IssuedSecret, Recipient
from transfer.models.secret import cipher, secret_names


def test_all_fields_share_one_key_since_deriving_it_takes_20_ms():
    models = (BonusServer, IssuedSecret, Recipient)
    fields = [model._meta.get_field(name) for model in models for name in secret_names(model)]
    assert len(fields) == 6
    assert {id(field.f) for field in fields} == {id(cipher())}


def test_a_key_that_changes_is_used_at_once(settings):
    settings.SECRET_KEY = "the first key"
    token = cipher().encrypt(b"s3cret")
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "the second key", ["the first key"]
    assert cipher().decrypt(token) == b"s3cret"
