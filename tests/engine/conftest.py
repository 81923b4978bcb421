import pytest
from psycopg2.extensions import make_dsn, parse_dsn

from tests.databases import query


@pytest.fixture
def limited(bonus):
    """The DSN of an account that may use the vendor's tables and nothing else."""
    role = f"limited_{parse_dsn(bonus)['dbname']}"
    query(bonus, f"drop role if exists {role}")
    query(
        bonus,
        f"create role {role} login password 'limited'; "
        f"grant select, insert, update on all tables in schema public to {role}",
    )
    yield make_dsn(bonus, user=role, password="limited")
    query(bonus, f"drop owned by {role}; drop role {role}")
