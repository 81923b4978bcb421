import pytest

from tests.flow import Flow


@pytest.fixture
def flow(shop_all, bonus):
    return Flow("balances", shop_all, bonus)
