"""What people have stopped, lest it be forgotten; and destinations that cannot be sent to."""

from collections.abc import Iterator, Mapping
from urllib.parse import quote

from sqlalchemy.orm import Session

from dicomnode.db.models import Outage
from dicomnode.db.repositories import holds, outages
from dicomnode.desk.troubles.trouble import Trouble, sentence
from dicomnode.jobs.waiting import hold_words

_CONSEQUENCES: Mapping[str, str] = {
    holds.ENHANCING: "Originals flow; nothing is enhanced and nothing derived is sent.",
    holds.JOBS: "Series still come in and originals flow; these jobs wait.",
    holds.DESTINATION: "What is meant for it waits.",
}
_WAYS_OUT: Mapping[str, tuple[str, str]] = {
    holds.ENHANCING: ("Start enhancing again once the reason is gone.", "/system"),
    holds.JOBS: ("Resume the jobs once the reason is gone.", "/queue"),
    holds.DESTINATION: ("Resume it once the reason is gone.", "/destinations/{}"),
}


def of_people(session: Session) -> Iterator[Trouble]:
    """The stop switch, paused jobs and paused destinations, in the order in which they were stopped."""
    for row in holds.listing(session):
        way_out, href = _WAYS_OUT[row.kind]
        href = href.format(quote(row.name))
        words = hold_words(row)
        message = f"{words if row.name else words[:1].upper() + words[1:]}. {_CONSEQUENCES[row.kind]}"
        yield Trouble(f"held.{row.kind}", "warning", message, way_out, href, since=row.since)


def of_destinations(session: Session) -> Iterator[Trouble]:
    """Destinations that do not answer, are out of room, or refuse this node."""
    for row in outages.listing(session):
        yield _OUTAGES[row.kind](row)


def _network(row: Outage) -> Trouble:
    message = f"{row.destination} cannot be reached: {sentence(row.reason)} What waits for it goes out once it answers."
    return _outage(row, message, "Look whether it is switched on, and at the network between.")


def _resources(row: Outage) -> Trouble:
    message = (
        f"{row.destination} is out of resources: {sentence(row.reason)} What waits for it goes out once it has room."
    )
    return _outage(row, message, "Its administrator has to make room.")


def _configuration(row: Outage) -> Trouble:
    message = f"{row.destination} refuses this node: {sentence(row.reason)} Nothing goes there until people change it."
    way_out = "Compare AE titles, address, port and certificates here and there; then ask it again."
    return _outage(row, message, way_out)


def _outage(row: Outage, message: str, way_out: str) -> Trouble:
    return Trouble(
        f"destination.{row.kind}",
        "failure",
        message,
        way_out,
        f"/destinations/{quote(row.destination)}",
        row.attempts,
        row.since,
    )


_OUTAGES = {"network": _network, "resources": _resources, "configuration": _configuration}
