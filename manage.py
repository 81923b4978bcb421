#!/usr/bin/env python3
"""The command line of Data Transfer; `manage.py help` lists the commands."""

import gc
import os
import sys
from pathlib import Path


def stand_in() -> None:
    """Django does not start without what `setup` has yet to write into the env file."""
    from dotenv import dotenv_values

    file = Path(os.environ.get("DTADMIN_ENV", os.devnull))
    if not file.exists() and {"-h", "--help"} & {*sys.argv}:
        del os.environ["DTADMIN_ENV"]
    elif not file.exists() and os.access(file.parent, os.W_OK):
        file.touch(0o640)
    written = dotenv_values(file)
    for name in ("DATABASE_URL", "SHOP_ALL_DATABASE_URL", "SECRET_KEY"):
        os.environ[name] = written.get(name) or "postgresql:///"


if __name__ == "__main__":
    gc.disable()  # what is imported stays; `Utility` enables it when the command is loaded
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "dtadmin.settings")
    if sys.argv[1:2] == ["setup"]:
        stand_in()
    from django.core.exceptions import ImproperlyConfigured
    from django.db import OperationalError
    from django.utils.translation import gettext as _

    from dtadmin.start import provide_databases
    from transfer.management.utility import Utility

    try:
        provide_databases()
        Utility(sys.argv).execute()
    except ImproperlyConfigured as error:
        if "--traceback" in sys.argv:
            raise
        sys.exit(str(error))
    except OperationalError as error:  # of Django's own commands: ours say it in a sentence
        if "--traceback" in sys.argv:
            raise
        cause = str(error).strip().splitlines()[0]
        sys.exit(_("Data Transfer's own database failed: %(cause)s") % {"cause": cause})
