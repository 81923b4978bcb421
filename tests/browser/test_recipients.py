"""The form of a recipient: how somebody is notified, and what that needs."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("nothing_asked")]
FIELDS = {
    "mail": ["mail_address"],
    "telegram": ["bot_token", "telegram_chat"],
    "max": ["max_token", "max_chat"],
    "mattermost": ["mattermost_webhook", "mattermost_channel"],
    "slack": ["slack_webhook"],
    "webhook": ["webhook_address"],
    "apprise": ["apprise_address"],
}


@pytest.mark.parametrize("scripts", [True, False])
def test_only_the_fields_of_the_chosen_channel_are_shown(
    open_page: Callable, log_in: Callable, scripts: bool
):
    page: Page = open_page(java_script_enabled=scripts)
    log_in(page, "administrator")
    page.goto("/notifications/add/")
    inputs = page.locator(".choice-fields input")
    expect(inputs).to_have_count(sum(map(len, FIELDS.values())))
    for channel, names in FIELDS.items():
        page.check(f"#channel-{channel}")
        shown = [one.get_attribute("name") for one in inputs.all() if one.is_visible()]
        assert shown == names
