"""`python -m bonusserver COMMAND`: the reference bonus server's own manage.py."""

import os
import sys

from django.core.management import execute_from_command_line

os.environ["DJANGO_SETTINGS_MODULE"] = "bonusserver.settings"
execute_from_command_line(["python -m bonusserver", *sys.argv[1:]])
