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
    is_told: bool = False


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
            for key, count in (((network, ""), whole), ((network, name), one)):
                self._keep(key, count)
            return 0.0

    def is_news(self, address: str) -> bool:
        """Whether nobody has asked this before of an address that is turned away, in its window."""
        with self._lock:
            whole = self._counts.get((_network(address), ""))
            if whole is None or whole.is_told:
                return False
            whole.is_told = True
            return True

    def give_back(self, address: str, name: str) -> None:
        """The attempt was right: the name has no failures here, the address one less."""
        network = _network(address)
        with self._lock:
            self._counts.pop((network, name), None)
            if (whole := self._counts.get((network, ""))) is not None:
                whole.taken = max(0, whole.taken - 1)

    def _count(self, key: tuple[str, str], now: float) -> _Count:
        """What is counted so far. It is not kept yet: who is turned away takes no place from others, or a turned-away
        address would push its own count out by trying names enough.
        """
        count = self._counts.get(key)
        return _Count(now) if count is None or count.since + self._seconds <= now else count

    def _keep(self, key: tuple[str, str], count: _Count) -> None:
        """One attempt more. The longest kept makes room: a count is put behind all others with every attempt."""
        count.taken += 1
        self._counts.pop(key, None)
        if len(self._counts) >= PLACES:
            del self._counts[next(iter(self._counts))]
        self._counts[key] = count


def _network(address: str) -> str:
    """An IPv4 address, or the /64 that an IPv6 address lies in: one machine has all of those."""
    try:
        found = ip_address(address)
    except ValueError:
        return address
    if isinstance(found, IPv6Address) and found.ipv4_mapped is None:
        return str(ip_network((found, 64), strict=False))
    return str(getattr(found, "ipv4_mapped", None) or found)
