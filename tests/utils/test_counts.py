"""Counts in messages: one person, several people."""

import pytest

from jointpose.utils.counts import counted


@pytest.mark.parametrize(
    'n, noun, words',
    [
        (0, 'person', '0 people'),
        (1, 'person', '1 person'),
        (12, 'drawn person', '12 drawn people'),
        (1, 'key point', '1 key point'),
        (2, 'key point', '2 key points'),
        (2, 'box', '2 boxes'),
    ],
)
def test_one_person_is_no_people(n, noun, words):
    assert counted(n, noun) == words
