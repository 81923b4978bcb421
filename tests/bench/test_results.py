"""RESULTS.md: a part that is measured again replaces its own section alone."""

from bench.results import with_section

ORDER = ["The first", "The second", "The third"]


def test_a_section_is_replaced_and_the_others_stay_in_their_order() -> None:
    text = ""
    for title in reversed(ORDER):
        text = with_section(text, title, f"{title}, before\n\n### A table\n\n| 1 |", ORDER)
    text = with_section(text, "The second", "measured anew", ORDER)
    assert [text.index(f"\n## {title}\n") for title in ORDER] == sorted(
        text.index(f"\n## {title}\n") for title in ORDER
    )
    assert "The first, before\n\n### A table\n\n| 1 |" in text
    assert "The third, before" in text
    assert "measured anew" in text
    assert "The second, before" not in text


def test_a_section_of_a_part_that_is_no_more_is_dropped() -> None:
    text = with_section("", "The first", "measured", ORDER)
    assert "The first" not in with_section(text, "The second", "measured", ORDER[1:])
