"""In which order test files run, where several run at a time."""

from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path

import pytest

WAITING = {"faults", "peers", "browser"}
"""Folders of tests that wait for peers, kills and deadlines more than they compute."""

_THEIR_SHARE = 0.85
"""Of the run: at its end, files that take minutes would each keep one process busy, and the others idle."""


def spread(items: Sequence[pytest.Item]) -> list[pytest.Item]:
    """Files that wait, evenly among those that compute; each stays in one piece, and the last ones are short."""
    files = [list(group) for _, group in groupby(items, key=lambda item: item.path)]
    waiting = [file for file in files if _waits(file[0].path)]
    computing = [file for file in files if not _waits(file[0].path)]
    return [item for file in _merged(waiting, computing) for item in file]


def _waits(path: Path) -> bool:
    return not WAITING.isdisjoint(path.parts)


def _merged(waiting: list[list[pytest.Item]], computing: list[list[pytest.Item]]) -> Iterator[list[pytest.Item]]:
    step = _THEIR_SHARE * sum(map(len, computing)) / max(len(waiting), 1)
    begun, done = 0, 0
    for file in computing:
        while begun < len(waiting) and begun * step <= done:
            yield waiting[begun]
            begun += 1
        yield file
        done += len(file)
    yield from waiting[begun:]
