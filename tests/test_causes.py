"""The catalogue of causes."""

import re

import pytest

from transfer.causes.catalogue import CATALOGUE, SUBJECTS, causes_of
from transfer.models.failing import Failing

PARAMETER = re.compile(r"%\((\w+)\)s")


def test_each_code_has_one_cause():
    codes = [one.code for subject in SUBJECTS for one in causes_of(subject)]
    assert sorted(codes) == sorted(CATALOGUE)


def test_each_code_is_short_enough_to_be_saved():
    assert max(map(len, CATALOGUE)) <= Failing._meta.get_field("error_code").max_length


@pytest.mark.parametrize("subject", SUBJECTS, ids=lambda one: one.__name__.rpartition(".")[2])
def test_a_cause_is_found_by_its_code(subject):
    named = {
        value.code: name for name, value in vars(subject).items() if value in CATALOGUE.values()
    }
    assert {code: re.sub(r"\W", "_", code).upper() for code in named} == named


@pytest.mark.parametrize("cause", CATALOGUE.values(), ids=lambda one: one.code)
def test_a_cause_says_what_is_wrong_in_whole_sentences(cause):
    texts = [cause.sentence, cause.hint, *cause.hints.values()]
    for text in filter(None, texts):
        assert text == text.strip()
        assert "%" not in PARAMETER.sub("", text)
    assert cause.sentence.endswith((".", "s", "?", ":")), cause.sentence
