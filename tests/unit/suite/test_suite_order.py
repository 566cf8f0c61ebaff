"""The order in which the test files of this suite run."""

from itertools import groupby
from pathlib import Path

import pytest
from support.order import spread


class Item:
    """What is asked of a test."""

    def __init__(self, path: str, number: int) -> None:
        self.path, self.number = Path(path), number


def suite(*files: tuple[str, int]) -> list[Item]:
    return [Item(path, number) for path, count in files for number in range(count)]


def files_of(items: list[Item]) -> list[str]:
    return [str(path) for path, _ in groupby(spread(items), key=lambda item: item.path)]  # type: ignore[type-var, arg-type]


def test_files_that_wait_are_spread_and_none_is_the_last() -> None:
    waiting = [(f"tests/faults/{number}.py", 1) for number in range(3)]
    computing = [(f"tests/unit/{number}.py", 10) for number in range(9)]
    found = files_of(suite(*waiting, *computing))
    assert found == [
        "tests/faults/0.py", *(f"tests/unit/{number}.py" for number in range(3)),
        "tests/faults/1.py", *(f"tests/unit/{number}.py" for number in range(3, 6)),
        "tests/faults/2.py", *(f"tests/unit/{number}.py" for number in range(6, 9)),
    ]  # fmt: skip


@pytest.mark.parametrize("count", [0, 1, 200])
def test_every_test_runs_once_and_each_file_in_its_order(count: int) -> None:
    items = suite(*((f"tests/peers/{number}.py", 3) for number in range(count)), ("tests/unit/a.py", 2))
    found = spread(items)  # type: ignore[arg-type]
    assert sorted(map(id, found)) == sorted(map(id, items))
    for _, group in groupby(found, key=lambda item: item.path):
        numbers = [item.number for item in group]  # type: ignore[attr-defined]
        assert numbers == sorted(numbers)
