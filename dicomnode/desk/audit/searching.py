"""The audit log, searched. Who looks into it is an event in it, too."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy.orm import Session

from dicomnode.db.models import AuditChain, AuditEvent
from dicomnode.db.repositories import audit_search
from dicomnode.db.repositories.audit_search import Filters, Key
from dicomnode.desk.audit.asked import Asked
from dicomnode.desk.audit.masking import shown
from dicomnode.desk.patients import viewed
from dicomnode.desk.person import Person
from dicomnode.desk.refused import Refused
from dicomnode.flow import Flow


@dataclass(frozen=True)
class Entry:
    """An event and its seal, which comes a moment after it."""

    event: AuditEvent
    link: AuditChain | None

    def document(self, person: Person) -> dict[str, Any]:
        """Every column as `person` may see it, whether something is masked in it, and where the chain holds it."""
        names = ("id", "at", "node", "actor", "kind", "outcome", "study_uid", "series_uid", "subject")
        columns = {name: getattr(self.event, name) for name in names}
        seal = {"seq": self.link.seq if self.link else None, "hash": self.link.hash if self.link else None}
        may_see = shown(person, self.event)
        told = {"message": may_see.message, "detail": dict(may_see.detail), "masked": may_see.masked}
        return {**columns, **told, **seal}


@dataclass(frozen=True)
class Entries:
    """One page. `next`: where to go on, None at the end; there may be more behind a page that is short or empty."""

    entries: Sequence[Entry]
    next: Key | None


def search(flow: Flow, person: Person, asked: Asked, limit: int, after: Key | None = None) -> Entries:
    """The newest events that pass, behind `after`. Its first page is recorded as a look into the log."""
    filters = asked.filters()
    if after is None:
        viewed(flow, person, "the audit log", kind="audit.viewed", filters=asked.set())
    with flow.database.read() as session:
        return page(session, filters, limit, after)


def page(
    session: Session, filters: Filters, limit: int, after: Key | None = None, *, oldest_first: bool = False
) -> Entries:
    """One page with the seals, not recorded."""
    found = audit_search.search(session, filters, limit, after, oldest_first=oldest_first)
    links: Mapping[int, AuditChain] = audit_search.links(session, [event.id for event in found.events])
    return Entries([Entry(event, links.get(event.id)) for event in found.events], found.next)


def one(flow: Flow, person: Person, id: int) -> Entry:
    """One event by its id. Raises Refused (missing)."""
    with flow.database.read() as session:
        event = session.get(AuditEvent, id)
        if event is None:
            raise Refused(f"there is no event {id}", "missing")
        entry = Entry(event, audit_search.links(session, [id]).get(id))
    viewed(flow, person, f"event {id} of the audit log", kind="audit.viewed")
    return entry


def key_of(at: str, id: int) -> Key:
    """A place in the log from what a cursor says. Raises Refused."""
    try:
        instant = datetime.fromisoformat(at).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise Refused("this is no cursor of this list: begin at its first page") from error
    if not 0 <= id < 2**63:
        raise Refused("this is no cursor of this list: begin at its first page")
    return instant, id
