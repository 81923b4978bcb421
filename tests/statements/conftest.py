"""What several tests of statements need."""

import pytest
from django.db import connection

from tests.own_database import OwnDatabases


@pytest.fixture
def own(postgres):
    """Our own database, which can go back in time."""
    databases = OwnDatabases(postgres)
    yield databases
    connection.close()
    databases.drop()
