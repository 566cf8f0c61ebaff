"""How a destination fares: what people decided, and what the network did."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from sqlalchemy.orm import Session

from dicomnode.db.models import Hold, Outage
from dicomnode.db.repositories import deliveries, holds, outages
from dicomnode.domain.site import Destination
from dicomnode.flow import Flow

STATES = {"network": "down", "resources": "full", "configuration": "stopped"}
"""How a destination with an outage of this kind fares; without one it is up, as far as anybody has tried."""


@dataclass(frozen=True)
class Health:
    """`state`: up, down, full, stopped, paused or not enabled; `reason` says why, empty for one that is up."""

    state: str
    reason: str
    hold: Hold | None
    outage: Outage | None

    @property
    def next_attempt_at(self) -> datetime | None:
        """When one that is down is tried next; never while it is paused."""
        return None if self.outage is None or self.hold is not None else self.outage.next_at


class Fares(NamedTuple):
    """A destination of the site and all that was ever sent to it: deliveries by state, instances by fault."""

    entry: Destination
    health: Health
    deliveries: Mapping[str, int]
    stored_with_warning: int
    refused_instances: int


def health_of(entry: Destination, hold: Hold | None, outage: Outage | None) -> Health:
    """What people decided stands before what the network did."""
    state = STATES[outage.kind] if outage is not None else "up"
    reason = outage.reason if outage is not None else ""
    if hold is not None:
        state, reason = "paused", f"by {hold.by}" + (f": {hold.reason}" if hold.reason else "")
    return Health(state if entry.enabled else "not enabled", reason, hold, outage)


def healths(session: Session, entries: tuple[Destination, ...]) -> dict[str, Health]:
    """Of each, by its name."""
    paused = {row.name: row for row in holds.listing(session) if row.kind == holds.DESTINATION}
    down = {row.destination: row for row in outages.listing(session)}
    return {each.name: health_of(each, paused.get(each.name), down.get(each.name)) for each in entries}


def listing(flow: Flow) -> list[Fares]:
    """The destinations in force. Goes over every delivery there is."""
    with flow.database.read() as session:
        entries = flow.site.get(session)[1].destinations
        found = healths(session, entries)
        counts = deliveries.counts_by_state(session)
        warned, refused = deliveries.warned_by_destination(session), deliveries.refused_by_destination(session)
    return [
        Fares(
            each,
            found[each.name],
            {state: count for (of, state), count in counts.items() if of == each.name},
            warned.get(each.name, 0),
            refused.get(each.name, 0),
        )
        for each in entries
    ]
