"""How long a delivery is this node's, as far as this node can know without asking anybody."""

import time

MARGIN = 0.2
"""The part of a lease in which nothing new is sent any more: clocks that run apart, and the instance on the wire."""


def boot_clock() -> float:
    """Seconds since the machine's start, those included in which it slept; never set back (clock_gettime(2))."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Lease:
    """Counts from before the database was asked, so that it ends here before it ends there.

    A node that was stopped for a while (SIGSTOP, a paused virtual machine, a database that is away) finds it over
    before it sends the next instance, whatever others have done with the delivery meanwhile.
    """

    def __init__(self, seconds: float, asked_at: float) -> None:
        self.seconds, self._asked_at = seconds, asked_at

    def renewed(self, asked_at: float) -> None:
        """It began anew, after `asked_at` on the boot clock."""
        self._asked_at = asked_at

    @property
    def is_over(self) -> bool:
        return boot_clock() - self._asked_at >= self.seconds * (1 - MARGIN)

    @property
    def wants_renewal(self) -> bool:
        return boot_clock() - self._asked_at >= self.seconds / 3
