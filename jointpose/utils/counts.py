"""Counts in words."""

PLURALS = {'person': 'people', 'box': 'boxes'}


def counted(n: int, noun: str) -> str:
    """'1 drawn person', and else '0 drawn people', '2 drawn people'; noun: in the singular."""
    if n == 1:
        return f'1 {noun}'
    *adjectives, last = noun.split(' ')
    return ' '.join([str(n), *adjectives, PLURALS.get(last, f'{last}s')])
