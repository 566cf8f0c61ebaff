"""Working ahead: order, bound, errors, and no thread that stays."""

import threading
from collections.abc import Iterator

import pytest

from dicomnode.enhance.ahead import Ahead


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name == "work ahead"]


class Made:
    """Counts from 0 and can be waited for."""

    def __init__(self, count: int) -> None:
        self.count, self.made = count, 0
        self._changed = threading.Condition()

    def __iter__(self) -> Iterator[int]:
        for number in range(self.count):
            with self._changed:
                self.made += 1
                self._changed.notify_all()
            yield number

    def reaches(self, made: int) -> bool:
        with self._changed:
            return self._changed.wait_for(lambda: self.made >= made, 60.0)


def test_items_come_in_their_order() -> None:
    with Ahead(range(100), 3, "work ahead") as ahead:
        assert list(ahead) == list(range(100))
    assert threads() == []


def test_it_works_ahead_by_so_many_and_no_more() -> None:
    made = Made(20)
    with Ahead(made, 3, "work ahead") as ahead:
        assert made.reaches(3)
        for taken, _ in enumerate(ahead, start=1):
            assert made.reaches(min(taken + 3, 20)), "the thread goes on while the taker has the item in hand"
            assert made.made <= taken + 3


def test_an_error_comes_where_its_item_would_have_been() -> None:
    def broken() -> Iterator[int]:
        yield from range(5)
        raise LookupError("the sixth")

    taken: list[int] = []
    with Ahead(broken(), 2, "work ahead") as ahead, pytest.raises(LookupError, match="the sixth"):
        taken.extend(ahead)
    assert taken == [0, 1, 2, 3, 4]


def test_whoever_leaves_early_leaves_no_thread() -> None:
    made = Made(1000)
    with Ahead(made, 2, "work ahead") as ahead:
        taken = next(iter(ahead))
    assert taken == 0
    assert threads() == []
    assert made.made <= 1 + 2 + 1


def test_leaving_before_anything_was_taken() -> None:
    made = Made(1000)
    with Ahead(made, 2, "work ahead"):
        assert made.reaches(2)
    assert threads() == []
