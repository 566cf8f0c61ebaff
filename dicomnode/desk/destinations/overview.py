"""The destinations as people read them: how each fares, what waits, what went out today, what was refused and why."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from dicomnode.db.database import now as database_now
from dicomnode.db.models import AuditEvent
from dicomnode.db.repositories import destination_figures, queue_events, today
from dicomnode.db.repositories.destination_figures import Rejected, Said
from dicomnode.desk.destinations.asking import entry_of
from dicomnode.desk.destinations.health import Health, healths
from dicomnode.desk.status_words import Words, words_of
from dicomnode.domain.site import Destination
from dicomnode.domain.states import DELIVERED
from dicomnode.flow import Flow

_NOTHING = Rejected((), True)


class Answer(NamedTuple):
    """So many instances were answered so; `newest` is the newest delivery with one of them."""

    words: Words
    detail: str
    instances: int
    newest: int


class Seen(NamedTuple):
    """A destination. `waits` and `dead_letters` count deliveries, `today` those that ended since midnight, by state."""

    entry: Destination
    health: Health
    waits: int
    dead_letters: int
    today: Mapping[str, int]
    unreported: int
    """Storage commitments that a report is waited for."""
    rejected: Sequence[Answer]
    rejected_whole: bool
    """Whether `rejected` tells of all dead letters, or of the newest alone because there are so many."""

    @property
    def sent_today(self) -> int:
        return sum(self.today.get(state, 0) for state in DELIVERED)


class Story(NamedTuple):
    """One destination in full."""

    seen: Seen
    warned: Sequence[Answer]
    events: Sequence[AuditEvent]
    """Of its outages, pauses and questions."""


def overview(flow: Flow) -> list[Seen]:
    """All of the site, in its order."""
    with flow.database.read() as session:
        entries = flow.site.get(session)[1].destinations
    return _seen(flow, entries)


def story(flow: Flow, name: str) -> Story:
    """Raises Refused where there is none of that name."""
    (seen,) = _seen(flow, (entry_of(flow, name),))
    with flow.database.read() as session:
        warned = [_answer(said) for said in destination_figures.warned(session, name)]
        return Story(seen, warned, queue_events.about(session, f"destination:{name}"))


def _seen(flow: Flow, entries: tuple[Destination, ...]) -> list[Seen]:
    with flow.database.read() as session:
        fare = healths(session, entries)
        counts = destination_figures.open_counts(session, [each.name for each in entries])
        ended: dict[str, dict[str, int]] = {}
        for sent in today.sent(session, _midnight(database_now(session))):
            row = ended.setdefault(sent.destination, {})
            row[sent.state] = row.get(sent.state, 0) + sent.deliveries
        unreported = destination_figures.unreported(session)
        dead = [name for name, state in counts if state == "failed"]
        rejected = destination_figures.rejected(session, dead)
    return [
        Seen(
            each,
            fare[each.name],
            counts.get((each.name, "pending"), 0) + counts.get((each.name, "sending"), 0),
            counts.get((each.name, "failed"), 0),
            ended.get(each.name, {}),
            unreported.get(each.name, 0),
            [_answer(said) for said in refused.said],
            refused.whole,
        )
        for each in entries
        for refused in [rejected.get(each.name, _NOTHING)]
    ]


def _answer(said: Said) -> Answer:
    return Answer(words_of(said.status, said.detail), said.detail, said.instances, said.newest)


def _midnight(instant: datetime) -> datetime:
    """When the day began on the node's clock."""
    return instant.astimezone().replace(hour=0, minute=0, second=0, microsecond=0).astimezone(UTC)
