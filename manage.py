#!/usr/bin/env python3
"""The command line of Data Transfer; `manage.py help` lists the commands."""

import os
import sys

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "dtadmin.settings")
    from django.core.management import execute_from_command_line

    execute_from_command_line(sys.argv)
