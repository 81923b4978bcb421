"""`python -m reference_bonus_server COMMAND`: the reference bonus server's own manage.py."""

import os
import sys

if sys.argv[1:2] == ["register"]:
    # A register is a client. It needs neither Django nor a database.
    from reference_bonus_server.register import main

    sys.exit(main(sys.argv[2:]))

from django.core.management import execute_from_command_line

os.environ["DJANGO_SETTINGS_MODULE"] = "reference_bonus_server.settings"
execute_from_command_line(["python -m reference_bonus_server", *sys.argv[1:]])
