"""Who starts the embedded PostgreSQL: manage.py, the demo and the tests, before the settings."""

import os

from django.core.exceptions import ImproperlyConfigured

from dtadmin.environment import VAR, env
from dtadmin.translation import gettext as _


def provide_databases() -> bool:
    """Start or join the embedded PostgreSQL where no DATABASE_URL is given; return whether it was.

    The environment then names its databases, its programs and a secret key. It stops when the last
    process that called this ends; those that have these variables from another one do not count.
    Raises ImproperlyConfigured. Without the extra `demo` nothing happens, and the settings say so.
    """
    if env("DATABASE_URL"):
        return False
    try:
        from dtadmin import embedded

        socket_dir = embedded.start(VAR)
    except ImportError:
        return False
    except PermissionError as error:
        text = _(
            "%(path)s belongs to another user. Use a clone of your own, or name another "
            "folder with DTADMIN_VAR."
        )
        raise ImproperlyConfigured(text % {"path": error.filename}) from error
    except embedded.NoFolder as error:
        raise ImproperlyConfigured(str(error)) from error
    os.environ["DATABASE_URL"] = embedded.database_url(socket_dir, "dtadmin")
    if not env("SHOP_ALL_DATABASE_URL"):
        os.environ["SHOP_ALL_DATABASE_URL"] = embedded.database_url(socket_dir, "shop_all")
    if not env("SECRET_KEY"):
        os.environ["SECRET_KEY"] = embedded.secret(VAR / "secret_key")
    os.environ["DTADMIN_POSTGRES_PROGRAMS"] = str(embedded.programs())
    return True
