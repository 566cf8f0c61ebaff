"""A question to another machine, and how long it may take in all, however its answer is drawn out."""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

Answer = TypeVar("Answer")

MOST = 100
"""So many are under way at a time, with those that nobody waits for any more: each has a thread of its own."""

_room = threading.BoundedSemaphore(MOST)


def in_time(ask: Callable[[], Answer], seconds: float) -> Answer:
    """What `ask` returns or raises. TimeoutError where that takes longer: its thread then ends when it does.

    A client's own limits are of one read each, and a byte that comes now and then passes them all; of a name that is
    looked up there is none. So `ask` opens and closes what it needs itself, as nobody else may touch it.
    """
    if not _room.acquire(blocking=False):
        raise TimeoutError(f"{MOST} answers are waited for already")
    answer: Future[Answer] = Future()
    threading.Thread(target=_run, args=(ask, answer), name="question", daemon=True).start()
    return answer.result(seconds)


def _run(ask: Callable[[], Answer], answer: Future[Answer]) -> None:
    try:
        answer.set_result(ask())
    except BaseException as error:
        answer.set_exception(error)
    finally:
        _room.release()
