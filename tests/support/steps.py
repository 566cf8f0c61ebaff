"""A clock that a test moves, for code that waits for a peer: how long this machine takes is nothing to it."""

import threading
import time
from types import ModuleType, SimpleNamespace

import pytest


class Steps:
    """`now` is what `time.monotonic()` says, in seconds."""

    def __init__(self) -> None:
        self.now = 0.0
        self._looked = threading.Semaphore(0)

    def step(self, seconds: float) -> None:
        """So much later; returns when somebody has looked at the clock since."""
        self.now += seconds
        while self._looked.acquire(blocking=False):
            pass
        assert self._looked.acquire(timeout=60.0), "nobody looks at the clock"

    def monotonic(self) -> float:
        now = self.now
        self._looked.release()
        return now


def stepping(wire: ModuleType, monkeypatch: pytest.MonkeyPatch) -> Steps:
    """The clock of this module from now on, at which it looks a hundred times a second."""
    steps = Steps()
    monkeypatch.setattr(wire, "time", SimpleNamespace(**{**vars(time), "monotonic": steps.monotonic}))
    monkeypatch.setattr(wire, "_STOP_LATENCY", 0.01)
    return steps
