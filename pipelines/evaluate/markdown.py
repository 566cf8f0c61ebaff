"""Tables in Markdown and for a terminal."""

from collections.abc import Sequence

Line = Sequence[str]


def table(head: Line, rows: Sequence[Line]) -> str:
    """A table in Markdown."""
    return "\n".join("| " + " | ".join(line) + " |" for line in (head, ["---"] * len(head), *rows))


def columns(head: Line, rows: Sequence[Line]) -> str:
    """The same in columns of spaces."""
    lines = [head, *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )
