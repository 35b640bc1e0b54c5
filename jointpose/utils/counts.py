"""Counts of people in words."""


def counted_people(n: int) -> str:
    """Returns '1 person', and else '0 people', '2 people'."""
    return f'{n} {"person" if n == 1 else "people"}'
