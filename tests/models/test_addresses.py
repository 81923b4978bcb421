import pytest
from django.urls import reverse

from transfer.models.addresses import ADDRESSES, address

# Of those whose arguments are no numbers.
ARGUMENTS = {"task": ["transfer-7"], "take": ["WzEsMiwzXQ.t9Cx-_=" + "a" * 20]}


@pytest.mark.parametrize("name", ADDRESSES)
@pytest.mark.parametrize("number", [1, 1000, 12_345_678])
def test_an_address_is_that_of_the_page(name, number):
    arguments = ARGUMENTS.get(name, [number] * ADDRESSES[name].count("{}"))
    assert address(name, *arguments) == reverse(name, args=arguments)
