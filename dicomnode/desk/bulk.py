"""What people do to one row, to several, or to all that fit: in portions, and each that cannot be done says why."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from sqlalchemy.orm import Session

from dicomnode.desk.refused import Refused
from dicomnode.flow import Flow

AT_ONCE = 100
"""So many change in one transaction: neither workers, senders nor the index should wait for a thousand."""


@dataclass(frozen=True)
class Result:
    """What came of it, by number: what `done` came to, why it was `refused`; and how many time was too short for."""

    done: Mapping[int, int] = field(default_factory=dict)
    refused: Mapping[int, str] = field(default_factory=dict)
    left: int = 0


@dataclass(frozen=True)
class Verb:
    """Something that is done to rows called `noun`: where no state is named, to those in a `usual` one."""

    name: str
    noun: str
    usual: tuple[str, ...]
    possible: tuple[str, ...]

    def states(self, asked: tuple[str, ...]) -> tuple[str, ...]:
        """The states that are meant. Raises Refused for one in which it cannot be done."""
        if impossible := [state for state in asked if state not in self.possible]:
            said = f"nothing can be done to a {self.noun} that is {impossible[0]}"
            raise Refused(f"{said}; possible are {', '.join(self.possible)}")
        return asked or self.usual


def each(flow: Flow, ids: Sequence[int], one: Callable[[Session, int], int], within: float | None = None) -> Result:
    """Do `one` to each, looking at it when its turn comes. A ValueError is its refusal, in words.

    `one` returns what it came to. After `within` seconds no further portion is begun: the rest is `Result.left`.
    """
    done: dict[int, int] = {}
    refused: dict[int, str] = {}
    began = time.monotonic()
    for start in range(0, len(ids), AT_ONCE):
        if within is not None and start and time.monotonic() - began > within:
            return Result(done, refused, len(ids) - start)
        with flow.database.write() as session:
            for id in ids[start : start + AT_ONCE]:
                try:
                    done[id] = one(session, id)
                except ValueError as error:
                    refused[id] = str(error)
    return Result(done, refused)
