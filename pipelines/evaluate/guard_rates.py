"""Rates with their counts and exact intervals, and which of them are asked for."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from scipy import stats

from .guard_blobs import STATED_CNR, STATED_HU, Planted, stated
from .guard_cases import ADDED_SOFT, INSIDE
from .guard_patterns import Patterned

if TYPE_CHECKING:
    from .guards import Case

MOST_INSIDE = 0.05
LEAST_OUTSIDE = 0.95
LEAST_PATTERN_HU = 10.0
"""Patterns of this height and more are asked for."""
OUTSIDE = (
    "2.5 times the noise (dose 1/25)",
    "sharp kernel, dose 1",
    "sharp kernel, dose 1/4",
    "soft kernel, as scanned",
    "soft kernel, dose 1",
    "soft kernel, dose 1/4",
    "CT noise without a patient",
    "white noise without a patient",
    "checkerboard over the input",
    "checkerboard without a patient",
    "a head, as scanned",
    "a head, dose 1/4",
)


@dataclass(frozen=True)
class Rate:
    """So many of so many."""

    count: int
    of: int

    @property
    def share(self) -> float:
        return self.count / self.of

    @property
    def interval(self) -> tuple[float, float]:
        """Clopper and Pearson, Biometrika 1934: the exact 95 % interval of a share. Slices of a patient are no sample
        of patients: it says how well the share is known for slices like these."""
        low = float(stats.beta.ppf(0.025, self.count, self.of - self.count + 1)) if self.count else 0.0
        high = float(stats.beta.ppf(0.975, self.count + 1, self.of - self.count)) if self.count < self.of else 1.0
        return low, high

    def __str__(self) -> str:
        low, high = self.interval
        return f"{self.share:.0%} ({self.count}/{self.of}; {low:.0%} to {high:.0%})"


def rate(noticed: Iterable[bool]) -> Rate:
    """The share of what is true."""
    found = list(noticed)
    return Rate(sum(found), len(found))


@dataclass(frozen=True)
class Wanted:
    """A rate that is asked for: at most 5 %, or at least 95 %. Without a rate it was not measured."""

    name: str
    rate: Rate | None
    most: bool = False

    @property
    def reached(self) -> bool:
        if self.rate is None:
            return False
        return self.rate.share <= MOST_INSIDE if self.most else self.rate.share >= LEAST_OUTSIDE

    def __str__(self) -> str:
        asked = f"at most {MOST_INSIDE:.0%}" if self.most else f"at least {LEAST_OUTSIDE:.0%}"
        return f"{self.name}: {'not measured' if self.rate is None else self.rate}, asked for {asked}"


def wanted(cases: Mapping[str, "Case"], patterns: Sequence[Patterned], discs: Sequence[Planted]) -> list[Wanted]:
    """Every rate that is asked for."""
    inside = [cases[name] for name in INSIDE if name in cases]
    found = Rate(sum(case.fired for case in inside), sum(case.slices for case in inside)) if inside else None
    return [Wanted("in the domain", found, most=True), *_outside(cases), *_patterns(patterns), *_discs(discs)]


def _outside(cases: Mapping[str, "Case"]) -> Iterator[Wanted]:
    for name in OUTSIDE:
        case = cases.get(name)
        yield Wanted(name, Rate(case.fired, case.slices) if case else None)
    unknown = set(cases) - set(OUTSIDE) - set(INSIDE) - set(ADDED_SOFT)
    assert not unknown, f"cases that nothing asks for: {unknown}"


def _patterns(patterns: Sequence[Patterned]) -> Iterator[Wanted]:
    kinds = {(one.form, one.period, one.height) for one in patterns if one.height >= LEAST_PATTERN_HU}
    for form, period, height in sorted(kinds):
        found = rate(one.noticed for one in patterns if (one.form, one.period, one.height) == (form, period, height))
        yield Wanted(f"{form} of {period} px and {height:g} HU put out by the network", found)


def _discs(discs: Sequence[Planted]) -> Iterator[Wanted]:
    for radius, cnr in STATED_CNR.items():
        found = stated(discs, radius)
        name = f"disc of {STATED_HU:g} HU and {radius:g} px radius at {cnr:g} times the noise and more"
        yield Wanted(name, rate(found) if found else None)
