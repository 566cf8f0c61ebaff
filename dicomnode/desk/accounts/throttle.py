"""How many wrong sign-ins one address has, and one address for one name: the brake that comes before the lock.

It is in memory, of this process: it needs no more memory than `PLACES` counts, and starts anew with the node.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address, ip_network

PLACES = 10_000
ADDRESS_FACTOR = 4
"""A hospital may come from one address: it has this many times the failures that one name has."""


@dataclass
class _Count:
    since: float
    taken: int = 0


class Throttle:
    """Counts attempts in windows of `seconds`: `failures` for an address and a name, four times that for an address.

    An attempt is counted before it is looked into and given back when it was right, so that a hundred at once do not
    slip through.
    """

    def __init__(self, failures: int, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._failures, self._seconds, self._clock = failures, seconds, clock
        self._counts: dict[tuple[str, str], _Count] = {}
        self._lock = threading.Lock()

    def take(self, address: str, name: str) -> float:
        """Count one attempt. Returns 0, or the seconds until this address may try again; then nothing was counted."""
        network = _network(address)
        with self._lock:
            now = self._clock()
            one, whole = self._count((network, name), now), self._count((network, ""), now)
            for count, most in ((one, self._failures), (whole, ADDRESS_FACTOR * self._failures)):
                if count.taken >= most:
                    return max(1.0, count.since + self._seconds - now)
            one.taken += 1
            whole.taken += 1
            return 0.0

    def give_back(self, address: str, name: str) -> None:
        """The attempt was right: the name has no failures here, the address one less."""
        network = _network(address)
        with self._lock:
            self._counts.pop((network, name), None)
            if (whole := self._counts.get((network, ""))) is not None:
                whole.taken = max(0, whole.taken - 1)

    def _count(self, key: tuple[str, str], now: float) -> _Count:
        count = self._counts.get(key)
        if count is None or count.since + self._seconds <= now:
            self._counts.pop(key, None)
            if len(self._counts) >= PLACES:
                del self._counts[next(iter(self._counts))]
            count = self._counts[key] = _Count(now)
        return count


def _network(address: str) -> str:
    """An IPv4 address, or the /64 that an IPv6 address lies in: one machine has all of those."""
    try:
        found = ip_address(address)
    except ValueError:
        return address
    if isinstance(found, IPv6Address) and found.ipv4_mapped is None:
        return str(ip_network((found, 64), strict=False))
    return str(getattr(found, "ipv4_mapped", None) or found)
