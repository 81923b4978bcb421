import pytest


@pytest.fixture
def server(dock, bonus, shop_all):
    return dock(bonus)
