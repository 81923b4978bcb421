"""Hints name the commands of this installation: of a checkout, a package, or containers."""

import pytest
from django.utils import translation

from transfer.causes.installation import PAGES_STOPPED
from transfer.causes.runs import QUEUE_STUCK
from transfer.causes.tables import NOT_INITIALISED
from transfer.errors import TransferError
from transfer.pages.components.basic import commands
from transfer.problems.kinds import Code, hint
from transfer.text.explain import explain


@pytest.mark.parametrize(
    ("error", "checkout", "package", "image"),
    [
        (
            TransferError(QUEUE_STUCK, since="12:00"),
            "manage.py db_worker",
            "sudo systemctl enable --now dtadmin-worker@1",
            "docker compose up -d worker",
        ),
        (
            TransferError(NOT_INITIALISED, missing="x"),
            "manage.py init_shop_all",
            "sudo dtadmin init_shop_all",
            "docker compose exec web dtadmin init_shop_all",
        ),
    ],
)
@pytest.mark.parametrize("language", ["ru", "en"])
def test_a_hint_fits_the_installation(settings, error, checkout, package, image, language):
    with translation.override(language):
        assert explain(error).hint.endswith(checkout)
        settings.PACKAGED = settings.SYSTEMD = True
        assert explain(error).hint.endswith(package)
        assert f"<code>{package.partition(' --')[0]}" in commands(explain(error).hint)
        settings.IN_CONTAINER = True
        assert explain(error).hint.endswith(image)
        assert f"<code>{image}</code>" in commands(explain(error).hint)


def test_pages_that_listen_for_a_proxy_of_this_machine_are_started_there(settings):
    settings.PACKAGED = settings.SYSTEMD = True
    stopped = TransferError(PAGES_STOPPED, address="https://dtadmin.shop.local", code=502)
    with translation.override("en"):
        assert explain(stopped).hint.endswith("systemctl enable --now dtadmin-web.socket")
        settings.BEHIND_PROXY = "unix"
        assert explain(stopped).hint.endswith("systemctl enable --now dtadmin-proxy.socket")


def test_a_package_without_systemd_has_commands_in_place_of_services(settings):
    settings.PACKAGED = True
    with translation.override("en"):
        assert explain(TransferError(QUEUE_STUCK, since="12:00")).hint.endswith(
            "sudo dtadmin db_worker"
        )


@pytest.mark.parametrize("language", ["ru", "en"])
@pytest.mark.parametrize(
    ("code", "by", "checkout", "package"),
    [
        (Code.SCHEDULER, "cron", "cron", "cron"),
        (Code.SCHEDULER, "service", "manage.py run_scheduler", "dtadmin-tick.timer"),
        (Code.SCHEDULER_NEVER, "", "manage.py crontab add", "sudo dtadmin crontab add"),
    ],
)
def test_a_silent_schedule_says_how_it_is_started_here(
    settings, language, code, by, checkout, package
):
    with translation.override(language):
        assert checkout in hint(code, {"by": by})
        settings.PACKAGED = settings.SYSTEMD = True
        assert package in hint(code, {"by": by})
        assert "manage.py" not in hint(code, {"by": by})
