"""When to try again: exponential back-off with jitter, capped.

"Equal jitter" of Brooker, "Exponential Backoff And Jitter" (AWS Architecture Blog, 2015): half of the delay is
certain, half is drawn, so that series waiting for one PACS neither hammer it nor return as one wave.
"""

from dataclasses import dataclass
from random import Random


@dataclass(frozen=True)
class Backoff:
    """Delays of `first * 2**(attempt - 1)` seconds, at most `cap`, the upper half of each drawn at random.

    The cap bounds how long after its return a PACS waits for us: 30 s leaves half a minute of a promised minute for
    the transfers themselves.
    """

    first: float = 1.0
    cap: float = 30.0

    def __post_init__(self) -> None:
        if not 0 < self.first <= self.cap:
            raise ValueError(f"back-off needs 0 < first <= cap, got first {self.first} and cap {self.cap}")

    def ceiling(self, attempt: int) -> float:
        """The longest delay, in seconds, after the given number of failed attempts (1 or more)."""
        if attempt < 1:
            raise ValueError(f"back-off counts failed attempts from 1, got {attempt}")
        # Beyond 2**63 every cap in use is long reached; a bounded exponent cannot overflow a float.
        return min(self.cap, self.first * 2.0 ** min(attempt - 1, 63))

    def delay(self, attempt: int, random: Random) -> float:
        """Seconds to wait after the given number of failed attempts: in `[ceiling / 2, ceiling]`."""
        ceiling = self.ceiling(attempt)
        return random.uniform(ceiling / 2, ceiling)
