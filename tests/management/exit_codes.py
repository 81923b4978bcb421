"""How a command of manage.py ends."""

from typing import Any

from django.core.management import CommandError, call_command


def exit_code(command: str, *arguments: Any) -> int | str | None:
    """Runs the command in this process."""
    try:
        call_command(command, *map(str, arguments))
    except SystemExit as ended:
        return ended.code
    except CommandError as error:
        return error.returncode
    return 0
