"""What was measured: one run, the spread of its repeats, and ratios that are taken within one round."""

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any


class Figure(StrEnum):
    """What is read off a run."""

    RATE = "per_second"
    """Instances per second, from the first byte to the last response."""
    MILLISECONDS = "p50_ms"
    """Median of an instance; with its association where each has one."""
    CPU = "cpu_s_per_1000"
    """Processor seconds of the whole process tree for 1000 instances, what it does behind the responses included."""
    RECEIVER_MIB = "receiver_mib"
    """Most resident memory of any one receiving process."""


@dataclass(frozen=True)
class Run:
    """One measurement of one peer. `settle_s`: from the last response until all was counted where it is kept."""

    round: int
    row: str
    peer: str
    instances: int
    seconds: float
    p50_ms: float
    p99_ms: float
    cpu_s: float
    """Of what is measured: the receiver's whole process tree, or the sender."""
    sender_cpu_s: float = 0.0
    receiver_mib: float = 0.0
    largest_mib: float = 0.0
    """Most resident memory of any one process, beside that of a receiving one."""
    settle_s: float = 0.0
    stored: int | None = None
    """Counted on disk or in the index; None where nothing is kept."""

    @property
    def per_second(self) -> float:
        return self.instances / self.seconds

    @property
    def cpu_s_per_1000(self) -> float:
        return 1000 * self.cpu_s / self.instances

    def to_json(self) -> dict[str, Any]:
        derived = {"per_second": self.per_second, "cpu_s_per_1000": self.cpu_s_per_1000}
        return {name: _short(value) for name, value in {**asdict(self), **derived}.items()}


@dataclass(frozen=True)
class Spread:
    """Median, lowest and highest of repeats."""

    median: float
    lowest: float
    highest: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        return cls(statistics.median(values), min(values), max(values))

    def to_json(self) -> dict[str, float]:
        return {name: _short(value) for name, value in asdict(self).items()}


def spread(runs: Iterable[Run], row: str, peer: str, figure: Figure) -> Spread | None:
    """One peer's repeats of one row; None where it was not measured."""
    found = [getattr(run, figure) for run in runs if (run.row, run.peer) == (row, peer)]
    return Spread.of(found) if found else None


def ratio(runs: Sequence[Run], row: str, of: str, to: str, figure: Figure) -> Spread | None:
    """`of` divided by `to` in the same round, then the spread over the rounds: load that comes and goes meets both.

    None where no round has both, or the divisor is zero.
    """
    sides = [{run.round: getattr(run, figure) for run in runs if (run.row, run.peer) == (row, p)} for p in (of, to)]
    ours, theirs = sides
    ratios = [ours[each] / theirs[each] for each in ours if theirs.get(each)]
    return Spread.of(ratios) if ratios else None


def percentile(ascending: Sequence[float], share: float) -> float:
    """The value that `share` of the values do not exceed; nearest rank."""
    return ascending[min(int(share * len(ascending)), len(ascending) - 1)]


def _short(value: Any) -> Any:
    return float(f"{value:.4g}") if isinstance(value, float) else value
