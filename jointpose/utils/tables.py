"""Tables in Markdown."""

from collections.abc import Iterable

from jointpose.utils.terminal import printable

MIN_WIDTH = 3  # characters: Markdown's rule under a column's header


def markdown(header: Iterable, rows: Iterable[Iterable], left: int = 1) -> str:
    """Returns a table that is padded to read well in a terminal, too.

    left: how many columns, from the first, are aligned left. The others are aligned right.
    """
    cells = [_texts(row) for row in (header, *rows)]
    columns = zip(*cells)
    widths = [max(MIN_WIDTH, *map(len, column)) for column in columns]
    cells.insert(1, _rule(widths, left))
    lines = [_line(row, widths, left) for row in cells]
    return '\n'.join(lines)


def _texts(row: Iterable) -> list[str]:
    return [cell_text(cell) for cell in row]


def _rule(widths: list[int], left: int) -> list[str]:
    """The cells of the line below the header; a colon marks a column as aligned right."""
    aligned_left = ['-' * width for width in widths[:left]]
    aligned_right = ['-' * (width - 1) + ':' for width in widths[left:]]
    return aligned_left + aligned_right


def _line(row: list[str], widths: list[int], left: int) -> str:
    padded = [
        cell.ljust(width) if column < left else cell.rjust(width)
        for column, (cell, width) in enumerate(zip(row, widths))
    ]
    return f'| {" | ".join(padded)} |'


def cell_text(cell: object) -> str:
    """Returns a cell's text in one line, with the characters escaped that would end the cell."""
    return printable(cell).replace('\n', '\\n').replace('|', '\\|')
