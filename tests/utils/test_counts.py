"""Counts in messages: one person, several people."""

import pytest

from jointpose.utils.counts import counted_people


@pytest.mark.parametrize('n, words', [(0, '0 people'), (1, '1 person'), (12, '12 people')])
def test_one_person_is_no_people(n, words):
    assert counted_people(n) == words
