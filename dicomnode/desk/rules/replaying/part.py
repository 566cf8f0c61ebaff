"""One part of a replay: some hundred series, read and decided on in a single pass."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Self

from dicomnode.db.database import Database
from dicomnode.db.repositories import replays
from dicomnode.desk.rules.replaying.comparing import Comparison
from dicomnode.desk.rules.replaying.past import Past
from dicomnode.desk.rules.replaying.tally import Tally, tally
from dicomnode.domain.facts import SeriesFacts
from dicomnode.enhance.registry import Registry
from dicomnode.flow.completing.deciding import Circumstances

_Row = tuple[str, int, str, str]
"""Series, generation, and the JSON text of its facts and circumstances."""

SIZE = 250
"""Series of a part: at 50 KB of facts each, 12 MB are read at a time."""


@dataclass(frozen=True)
class Part:
    """The series behind one place up to another, in the order of completion; `until`: the end of the whole period."""

    behind: replays.Place
    up_to: replays.Place
    until: datetime
    count: int

    def to_json(self) -> dict[str, Any]:
        places = {name: [at.isoformat(), uid] for name, (at, uid) in (("behind", self.behind), ("up_to", self.up_to))}
        return {**places, "until": self.until.isoformat(), "count": self.count}

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> Self:
        behind, up_to = ((datetime.fromisoformat(at), uid) for at, uid in (document["behind"], document["up_to"]))
        return cls(behind, up_to, datetime.fromisoformat(document["until"]), document["count"])


@dataclass(frozen=True)
class Found:
    """What became of one part: its counts, and the changes of which the words were wanted."""

    count: int
    tally: Tally
    changes: list[dict[str, Any]]
    left_out: int
    """Changes beyond those that were wanted."""
    unreadable: list[str] = field(default_factory=list)
    """Series of which nothing was decided, because what is kept of them is damaged."""

    def to_json(self) -> dict[str, Any]:
        return vars(self)


def look_at(database: Database, comparison: Comparison, registry: Registry, part: Part, wanted: int) -> Found:
    """Decide on every series of a part. At most `wanted` changes are put in words."""
    with database.read() as session:
        rows = replays.stored_facts(session, part.behind, part.up_to, part.until)
    try:
        return _decided(rows, comparison, registry, wanted)
    except Exception:
        damaged = [row for row in rows if not _reads(row)]
        if not damaged:
            raise
    found = _decided([row for row in rows if row not in damaged], comparison, registry, wanted)
    found.tally["unreadable"] = len(damaged)
    return replace(found, count=len(rows), unreadable=[series_uid for series_uid, *_ in damaged])


def _decided(rows: Sequence[_Row], comparison: Comparison, registry: Registry, wanted: int) -> Found:
    counts, left_out = tally(), 0
    changes: list[dict[str, Any]] = []
    for series_uid, generation, facts, circumstances in rows:
        for found in comparison.look(Past.stored(facts, circumstances, registry), counts):
            if len(changes) < wanted:
                changes.append(comparison.change(series_uid, generation, found).to_json())
            else:
                left_out += 1
    return Found(len(rows), counts, changes, left_out)


def _reads(row: _Row) -> bool:
    """Whether all of it can be read. Rules look at little of it, so this is asked only where something went wrong."""
    _, _, facts, circumstances = row
    try:
        SeriesFacts.from_json(json.loads(facts))
        Circumstances.from_json(json.loads(circumstances))
    except (LookupError, TypeError, ValueError, AttributeError):
        return False
    return True
