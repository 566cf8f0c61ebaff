"""What is to be reached, as data, and whether it was."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from dicomnode.cli.bench.network.figures import Figure, Run, Spread, ratio, spread


@dataclass(frozen=True)
class Goal:
    """A bound for one figure of one row: of its ratio to a peer's, or of itself where `to` is None."""

    row: str
    figure: Figure
    to: str | None
    bound: float
    at_least: bool = True

    def met(self, value: float) -> bool:
        return value >= self.bound if self.at_least else value <= self.bound

    def words(self) -> str:
        """The bound, e.g. `>= 3 x`."""
        return f"{'>=' if self.at_least else '<='} {self.bound:g}{' x' if self.to else ''}"


_RATE, _CPU, _MS, _MIB = Figure.RATE, Figure.CPU, Figure.MILLISECONDS, Figure.RECEIVER_MIB

RECEIVE = (
    Goal("ct-1", _RATE, "storescp+B", 1.0),
    Goal("ct-1", _RATE, "orthanc", 3.0),
    Goal("ct-k", _RATE, "storescp+B", 1.0),
    Goal("ct-k", _RATE, "orthanc", 3.0),
    Goal("mr-1", _RATE, "storescp+B", 0.5),
    Goal("mr-1", _RATE, "orthanc", 3.0),
    Goal("mr-k", _RATE, "storescp+B", 0.5),
    Goal("mr-k", _RATE, "orthanc", 3.0),
    Goal("nagle", _RATE, "orthanc-as-it-comes", 20.0),
    Goal("each", _MS, "storescp", 3.0, at_least=False),
    Goal("ct-1", _CPU, "storescp", 1.2, at_least=False),
    Goal("series", _MIB, None, 150.0, at_least=False),
)

DELIVER = (
    Goal("ct-1", _RATE, "dcmsend", 1.0),
    Goal("mr-1", _RATE, "dcmsend", 1.0),
)


@dataclass(frozen=True)
class Verdict:
    """A goal and what `peer` made of it."""

    goal: Goal
    peer: str
    found: Spread

    @property
    def reached(self) -> bool:
        return self.goal.met(self.found.median)

    def to_json(self) -> dict[str, Any]:
        goal = self.goal
        return {
            "row": goal.row,
            "figure": str(goal.figure),
            "peer": self.peer,
            "to": goal.to,
            "goal": goal.words(),
            "found": self.found.to_json(),
            "reached": self.reached,
        }


def judge(goals: Sequence[Goal], runs: Sequence[Run], peers: Sequence[str]) -> list[Verdict]:
    """Each goal for each of `peers` that was measured; a goal without a figure has no verdict."""
    verdicts = []
    for goal in goals:
        for peer in peers:
            to = goal.to
            found = ratio(runs, goal.row, peer, to, goal.figure) if to else spread(runs, goal.row, peer, goal.figure)
            if found is not None:
                verdicts.append(Verdict(goal, peer, found))
    return verdicts
