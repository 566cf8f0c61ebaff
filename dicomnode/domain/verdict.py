"""Verdicts: what a guard, and in the end a series, is allowed to do."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Verdict(StrEnum):
    """`pass` delivers, `flag` delivers and says so in ImageComments, `withhold` means originals only."""

    PASS = "pass"  # noqa: S105
    FLAG = "flag"
    WITHHOLD = "withhold"


_SEVERITY = {Verdict.PASS: 0, Verdict.FLAG: 1, Verdict.WITHHOLD: 2}


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """The strictest of the verdicts; `pass` when there is none."""
    return max(verdicts, key=_SEVERITY.__getitem__, default=Verdict.PASS)


@dataclass(frozen=True)
class GuardFigure:
    """One guard's finding on one slice or series: its number, the limit it was held against, and why it matters."""

    guard: str
    verdict: Verdict
    value: float | None
    limit: float | None = None
    unit: str = ""
    reason: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        return {
            "guard": self.guard,
            "verdict": self.verdict.value,
            "value": self.value,
            "limit": self.limit,
            "unit": self.unit,
            "reason": self.reason,
            **({"details": dict(self.details)} if self.details else {}),
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> "GuardFigure":
        return cls(**{**document, "verdict": Verdict(document["verdict"])})
