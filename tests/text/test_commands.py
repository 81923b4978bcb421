"""Hints name the commands of this installation: manage.py in a checkout, dtadmin in a package."""

import pytest
from django.utils import translation

from transfer.engine.errors import NotInitialised
from transfer.errors import QueueStuck
from transfer.pages.components.basic import commands
from transfer.text.explain import explain


@pytest.mark.parametrize(
    ("error", "checkout", "package"),
    [
        (
            QueueStuck(since="12:00"),
            "manage.py db_worker",
            "sudo systemctl enable --now dtadmin-worker@1",
        ),
        (NotInitialised(missing="x"), "manage.py init_shop_all", "sudo dtadmin init_shop_all"),
    ],
)
@pytest.mark.parametrize("language", ["ru", "en"])
def test_a_hint_fits_the_installation(settings, error, checkout, package, language):
    with translation.override(language):
        assert explain(error).hint.endswith(checkout)
        settings.PACKAGED = True
        assert explain(error).hint.endswith(package)
        assert f"<code>{package.partition(' --')[0]}" in commands(explain(error).hint)
