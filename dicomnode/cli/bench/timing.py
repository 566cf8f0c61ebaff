"""One measurement: slices, seconds on the clock, seconds of the processors."""

import resource
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Timing:
    """`wall` and `cpu` in seconds; `cpu` counts all threads of this process and the children that have ended."""

    slices: int
    wall: float
    cpu: float


@dataclass(frozen=True)
class Speed:
    """What repeated measurements say: medians, and the slowest and fastest beside them."""

    slices_per_second: float
    slowest: float
    fastest: float
    cpu_ms_per_slice: float

    @classmethod
    def of(cls, timings: Sequence[Timing]) -> "Speed":
        rates = [timing.slices / timing.wall for timing in timings]
        cpu = [1000 * timing.cpu / timing.slices for timing in timings]
        return cls(statistics.median(rates), min(rates), max(rates), statistics.median(cpu))


def timed(slices: int, work: Callable[[], object], after: Callable[[], object] | None = None) -> Timing:
    """Run `work`, which does so many slices. `after` is off the clock, but its processors count: children end there."""
    cpu, began = _cpu(), time.perf_counter()
    work()
    wall = time.perf_counter() - began
    if after is not None:
        after()
    return Timing(slices, wall, _cpu() - cpu)


def peak_memory_mib() -> float:
    """The most memory this process ever had resident, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _cpu() -> float:
    usages = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)
