from django.urls import reverse

from transfer.models.shared import numbered


def test_an_address_with_a_number_is_the_one_that_leads_there():
    for name in ("run", "maintenance_run", "reject", "register", "server", "upload"):
        for number in (7, 1020):
            assert numbered(name, number) == reverse(name, args=[number])
