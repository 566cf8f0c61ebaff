"""A C-ECHO every half second, on an association of its own: what a good neighbour feels."""

import math
import threading
import time
from types import TracebackType
from typing import Self

from support import wire
from support.modality import Modality, Rejected

EVERY_SECONDS = 0.5


class EchoSampler:
    """Samples while the `with` block runs. `seconds`: from connecting to the answered release; infinite: failed."""

    def __init__(self, port: int, called: str, *, source: str = "127.0.0.1", timeout: float = 10.0) -> None:
        self.seconds: list[float] = []
        self.failures: list[str] = []
        self._where = port, called
        self._source, self._timeout = source, timeout
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)

    @property
    def slowest(self) -> float:
        """The longest of all, in seconds."""
        return max(self.seconds, default=math.inf)

    def text(self) -> str:
        """For people."""
        failed = f", {len(self.failures)} failed ({self.failures[0]})" if self.failures else ""
        answered = [seconds for seconds in self.seconds if seconds < math.inf]
        slowest = f"slowest of {len(self.seconds)} C-ECHO {max(answered):.3f} s" if answered else "no C-ECHO answered"
        return slowest + failed

    def _sample(self) -> None:
        while not self._ending.is_set():
            begin = time.monotonic()
            self.seconds.append(self._once())
            self._ending.wait(max(0.0, EVERY_SECONDS - (time.monotonic() - begin)))

    def _once(self) -> float:
        begin = time.monotonic()
        try:
            with Modality(*self._where, "GOOD", contexts=(wire.ECHO,), source=self._source,
                          timeout=self._timeout) as modality:  # fmt: skip
                status = modality.echo()
        except (OSError, wire.Closed, Rejected) as error:
            self.failures.append(f"{type(error).__name__} {error}".strip())
            return math.inf
        if status != 0x0000:
            self.failures.append(f"status {status:04X}")
            return math.inf
        return time.monotonic() - begin

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._ending.set()
        self._thread.join()
