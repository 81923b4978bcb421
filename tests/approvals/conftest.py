"""Limits, an operator who loads, and two users who may approve."""

import pytest

from tests.records import user
from transfer.models import Actor, Settings, User
from transfer.models.approvers import mark

ADMIN = Actor("tests")


def limits(**values):
    Settings.load().change(ADMIN, **values)


def approver(name="vera", role="operator"):
    made = User.objects.get(pk=user(role, name).pk)
    mark(made, ADMIN, approves=True, numbers=[])
    return made


@pytest.fixture
def oleg(db):
    """An operator who may approve: that is no use for what he enters himself."""
    return Actor.user_at(approver("oleg"))


@pytest.fixture
def vera(db):
    return Actor.user_at(approver("vera"))


@pytest.fixture
def limited(db):
    limits(row_limit=10_000)
