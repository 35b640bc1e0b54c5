"""Markdown tables against tables written by hand."""

from jointpose.utils.tables import markdown


def test_padded_by_hand():
    assert markdown(
        ('joint', 'rate', 'n'), [('lsho', 7.5, 10000), ('a long name', '', 1)]
    ).splitlines() == [
        '| joint       | rate |     n |',
        '| ----------- | ---: | ----: |',
        '| lsho        |  7.5 | 10000 |',
        '| a long name |      |     1 |',
    ]
    assert markdown(('a', 'b', 'c'), [], left=2).splitlines() == [
        '| a   | b   |   c |',
        '| --- | --- | --: |',
    ]
