"""Time zones by the names that people know, Russia's first."""

import pytest
from django.utils import translation

from transfer.models.settings import known_zones
from transfer.pages.fields import zone_choices
from transfer.text.zones import named


@pytest.mark.parametrize(
    ("language", "zone", "words"),
    [
        ("ru", "Asia/Tokyo", "Япония (Токио)"),
        ("ru", "America/New_York", "Соединенные Штаты (Нью-Йорк)"),
        ("en", "America/New_York", "United States (New York)"),
        ("ru", "UTC", "UTC"),
        ("ru", "Etc/GMT+3", "Etc/GMT+3"),
    ],
)
def test_a_zone_is_a_country_or_a_city_in_the_users_language(language, zone, words):
    with translation.override(language):
        assert named(zone) == words


def test_russian_zones_come_first_from_west_to_east():
    with translation.override("ru"):
        _installation, (_russia, russian), (_other, others) = zone_choices()
    assert russian[0] == ("Europe/Kaliningrad", "Калининград, UTC+2")
    assert ("Europe/Moscow", "Москва, UTC+3") in russian
    assert russian[-1][1].endswith("UTC+12")
    assert "Россия" not in " ".join(words for _zone, words in others)


def test_each_known_zone_is_offered_once_and_no_two_look_alike():
    with translation.override("ru"):
        _installation, (_russia, russian), (_other, others) = zone_choices()
    offered = [*russian, *others]
    assert {zone for zone, _words in offered} == {zone for zone in known_zones() if "/" in zone}
    assert len({words for _zone, words in offered}) == len(offered)
