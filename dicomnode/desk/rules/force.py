"""Putting a document in force as a new revision: what publishing, rolling back and importing have in common."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy.orm import Session

from dicomnode.audit.events import record
from dicomnode.db.database import now as database_now
from dicomnode.db.repositories import outages
from dicomnode.db.repositories import site as site_rows
from dicomnode.desk.person import Person
from dicomnode.desk.refused import Refused
from dicomnode.desk.rules.broken import broken_rules
from dicomnode.desk.rules.diff import SiteDiff, diff_sites
from dicomnode.desk.rules.restored import Restored
from dicomnode.domain.site import Site
from dicomnode.flow import Flow

Origin = Literal["import", "publish", "rollback"]

_KINDS: Mapping[Origin, str] = {
    "import": "site.imported",
    "publish": "site.published",
    "rollback": "site.rolled_back",
}
_MOST_LINES = 200


@dataclass(frozen=True)
class InForce:
    """A revision that was just put in force, and what it changed of the one before.

    `notes`: what somebody should know of it beside, each in words: destinations that were kept, rules that are broken.
    """

    number: int
    site: Site
    diff: SiteDiff
    notes: tuple[str, ...] = ()

    @property
    def sentence(self) -> str:
        return f"revision {self.number} is in force: {_counted(self.site)}"


def in_force(session: Session) -> tuple[int, Site]:
    """The revision that acts now, and nobody puts another in its place until this transaction ends."""
    row = site_rows.hold(session)
    return (row.number, Site.model_validate(row.document)) if row else (0, Site())


def put_in_force(
    flow: Flow,
    session: Session,
    person: Person,
    before: Site,
    after: Site,
    origin: Origin,
    comment: str,
    *,
    replay_id: int | None = None,
    restored: Restored | None = None,
) -> InForce:
    """Add the revision, with its audit event. Who calls holds the one in force (`in_force`), whose site is `before`.

    Raises Refused, `conflict`, if it takes away a destination to which deliveries are not finished.
    """
    _let_go(session, before, after)
    changed = diff_sites(before, after)
    at, document = database_now(session), after.to_document()
    restores = restored.number if restored else None
    number = site_rows.add(
        session, document, person.name, comment, at, origin=origin, replay_id=replay_id, restores=restores
    )
    notes = [*([restored.note] if restored and restored.note else []), *broken_rules(flow, after).values()]
    detail: dict[str, Any] = {
        "comment": comment,
        "rules": {rule.name: rule.state for rule in after.rules},
        "changes": changed.lines()[:_MOST_LINES],
        **({"replay": replay_id} if replay_id else {}),
        **({"restores": restores} if restores else {}),
        **({"notes": notes[:_MOST_LINES]} if notes else {}),
    }
    again = f", the document of revision {restores} again" if restores else ""
    sentence = f"revision {number}{again}: {_counted(after)}"
    subject = f"revision:{number}"
    record(session, _KINDS[origin], sentence, node=flow.node, actor=person.name, subject=subject, detail=detail)
    return InForce(number, after, changed, tuple(notes))


def _let_go(session: Session, before: Site, after: Site) -> None:
    """Destinations that are no more have no outage; none goes while something is on its way to it."""
    gone = sorted({each.name for each in before.destinations} - {each.name for each in after.destinations})
    waiting = site_rows.open_deliveries_to(session, gone)
    if waiting:
        listed = ", ".join(f"{name} ({count})" for name, count in sorted(waiting.items()))
        raise Refused(
            f"refused: deliveries to removed destinations are not finished: {listed}; let them finish or cancel",
            "conflict",
        )
    for name in gone:
        outages.end(session, name)


def _counted(site: Site) -> str:
    return f"{len(site.destinations)} destinations, {len(site.rules)} rules"
