"""Lanes: threads that each run a network of their own, so that every core has a slice to work on.

One slice at a time over all cores leaves them waiting for each other after every layer, and idle while guards take
their many small steps. A lane takes a slice through network and guards by itself, on its share of the cores: nothing is
waited for, and a slice's pixels do not depend on how many lanes there are.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from queue import SimpleQueue
from types import TracebackType
from typing import Self, TypeVar

import torch

from dicomnode.enhance.api import Pipeline

Result = TypeVar("Result")

MOST_LANES = 8
"""More would wait for Python's lock; beyond this a lane gets several threads."""


def lanes_for(device: torch.device, threads: int) -> int:
    """How many lanes suit a device, given the threads that torch may use on the CPU.

    CUDA has one: its kernels queue up by themselves.
    """
    return max(1, min(threads, MOST_LANES)) if device.type == "cpu" else 1


class Lanes:
    """Runs work on idle pipelines; each is used by one thread at a time. `threads` is what torch may use in a lane."""

    def __init__(self, pipelines: Sequence[Pipeline], threads: int) -> None:
        self._idle: SimpleQueue[Pipeline] = SimpleQueue()
        for pipeline in pipelines:
            self._idle.put(pipeline)
        # torch keeps the number of threads for each thread that calls it
        self._pool = ThreadPoolExecutor(len(pipelines), "lane", initializer=torch.set_num_threads, initargs=(threads,))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """What is not begun never begins; what runs is waited for."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def run(self, work: Callable[[Pipeline], Result]) -> Future[Result]:
        """Begin `work` as soon as a lane is free, in the order in which it was asked for."""
        return self._pool.submit(self._run, work)

    def narrow(self) -> None:
        """From now on one after the other. Call it while nothing runs."""
        while self._idle.qsize() > 1:
            self._idle.get()

    def _run(self, work: Callable[[Pipeline], Result]) -> Result:
        pipeline = self._idle.get()
        try:
            return work(pipeline)
        finally:
            self._idle.put(pipeline)
