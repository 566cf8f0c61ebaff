"""Work that runs ahead of whoever asks for it, in a thread of its own, by a few items and no more."""

import threading
from collections.abc import Iterable, Iterator
from queue import SimpleQueue
from types import TracebackType
from typing import Generic, Self, TypeVar

Item = TypeVar("Item")


class _End:
    """What lies behind the last item: nothing, or the error that ended the work."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.error = error


class Ahead(Generic[Item]):
    """Iterates `items` in a thread; at most `most` of them are made and not yet taken.

    An error of `items` is raised where the item would have been taken. Leaving the context ends the work: the thread
    finishes the item that it is at, and is gone when the context is left.
    """

    def __init__(self, items: Iterable[Item], most: int, name: str) -> None:
        self._items = items
        self._room = threading.Semaphore(most)
        self._made: SimpleQueue[Item | _End] = SimpleQueue()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._room.release()
        self._thread.join()

    def __iter__(self) -> Iterator[Item]:
        while not isinstance(item := self._made.get(), _End):
            self._room.release()
            yield item
        if item.error is not None:
            raise item.error

    def _work(self) -> None:
        try:
            items = iter(self._items)
            while self._may_go_on():
                self._made.put(next(items))
        except StopIteration:
            self._made.put(_End())
        except BaseException as error:
            self._made.put(_End(error))

    def _may_go_on(self) -> bool:
        self._room.acquire()
        return not self._over.is_set()
