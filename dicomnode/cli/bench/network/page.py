"""A page that holds measured tables between marks: they are written by the command, never by hand."""

from pathlib import Path

from dicomnode.cli.common import fail


def marks(bench: str) -> tuple[str, str]:
    """The lines between which the tables of `bench receive` or `bench deliver` stand."""
    return f"<!-- bench {bench}: what stands between these marks is written by it -->", f"<!-- bench {bench}: end -->"


def parts(page: Path, bench: str) -> tuple[str, str]:
    """The page up to the first mark and from the second one on, both included. Raises CommandFailed without them."""
    begin, end = marks(bench)
    before, found, rest = page.read_text(encoding="utf-8").partition(begin)
    _, closed, after = rest.partition(end)
    if not found or not closed:
        fail(f"{page} has no place for these tables: put the lines {begin} and {end} into it")
    return before + found, closed + after


def write(page: Path, bench: str, tables: str) -> None:
    """Put the tables between the marks, in place of what stands there. Raises CommandFailed without marks."""
    before, after = parts(page, bench)
    page.write_text(f"{before}\n\n{tables}\n\n{after}", encoding="utf-8")
