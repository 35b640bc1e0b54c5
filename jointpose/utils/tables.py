"""Tables in Markdown."""

from jointpose.utils.terminal import printable


def markdown(header, rows, left=1):
    """Padded so that it reads well in a terminal too; the first `left` columns to the left, the others to the right."""
    header, *rows = ([plain(cell) for cell in row] for row in (header, *rows))
    widths = [max(3, *map(len, column)) for column in zip(header, *rows)]
    rule = [
        ('-' * width if i < left else '-' * (width - 1) + ':') for i, width in enumerate(widths)
    ]
    lines = [
        [
            cell.ljust(width) if i < left else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths))
        ]
        for row in (header, rule, *rows)
    ]
    return '\n'.join(f'| {" | ".join(line)} |' for line in lines)


def plain(cell):
    """A cell's text in one line, without what would end the cell."""
    return printable(cell).replace('\n', '\\n').replace('|', '\\|')
