"""What became of the series: read from the node's database, where every step left its reason."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from dicomnode.audit import chain
from dicomnode.audit.verification import verify
from dicomnode.cli.common import fail
from dicomnode.cli.demo.node import RULE
from dicomnode.db.database import Database
from dicomnode.db.models import Enhancement
from dicomnode.db.repositories import deliveries, enhancements, instances
from dicomnode.db.repositories import series as series_rows
from dicomnode.db.repositories import site as site_rows
from dicomnode.domain.states import DELIVERED


@dataclass(frozen=True)
class Guard:
    """One guard's figure of the series: that of its worst slice."""

    name: str
    value: float | None
    limit: float | None
    unit: str
    verdict: str
    reason: str


@dataclass(frozen=True)
class Delivered:
    """One delivery: how many instances the destination took, and every status it gave."""

    what: str
    sent: int
    total: int
    statuses: dict[str, int]
    after: float
    state: str
    reason: str


@dataclass(frozen=True)
class Story:
    """A series from arrival to delivery. Seconds count from the last instance's arrival to the end of the step."""

    received: int
    complete_because: str
    complete_after: float
    rule: str
    matched: bool
    outcome: str
    explanation: tuple[str, ...]
    pipeline: str
    params: dict[str, Any]
    device: str
    state: str
    reason: str
    network_seconds: float
    derived: int
    derived_after: float
    derived_series_uid: str
    derived_description: str
    guards: tuple[Guard, ...]
    deliveries: tuple[Delivered, ...]
    audit_ok: bool
    audit_events: int

    @property
    def succeeded(self) -> bool:
        """Everything derived, everything delivered, and the audit log holds."""
        whole = all(each.state in DELIVERED and each.sent == each.total for each in self.deliveries)
        return self.state == "done" and self.derived > 0 and whole and self.audit_ok

    def trouble(self) -> str:
        """What kept it from succeeding."""
        if not self.audit_ok:
            return "the audit log does not hold"
        undelivered = [each.reason for each in self.deliveries if each.state not in DELIVERED]
        return "; ".join([self.reason or self.outcome] * (self.state != "done") + undelivered) or "nothing was derived"

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def read_story(database: Database, series_uid: str) -> Story:
    """Tell what happened to the series. Raises CommandFailed where the node never completed it."""
    verified = verify(database)
    with database.read() as session:
        row, facts = series_rows.find(session, series_uid), series_rows.facts(session, series_uid)
        decision = next((one for one in site_rows.decisions(session, series_uid) if one.rule == RULE), None)
        if row is None or facts is None or decision is None:
            fail("the node did not complete the series")
        work = enhancements.find(session, decision.enhancement_id) if decision.enhancement_id else None
        arrived = max(each.received_at for each in instances.of_series(session, series_uid))
        named = enhancements.derived_series(session, work.id) if work else None
        return Story(
            received=facts.instance_count,
            complete_because=facts.reason,
            complete_after=_seconds(arrived, facts.completed_at),
            rule=decision.rule,
            matched=decision.matched,
            outcome=decision.outcome,
            explanation=tuple(_sentences(decision.explanation["condition"])),
            pipeline=f"{work.pipeline} {work.version}" if work else "",
            params=dict(work.params) if work else {},
            device=str(work.measured.get("device", "")) if work else "",
            state=work.state if work else "",
            reason=work.reason if work else decision.outcome,
            network_seconds=float(work.measured.get("seconds", 0.0)) if work else 0.0,
            derived=len(enhancements.outputs(session, work.id)) if work else 0,
            derived_after=_seconds(arrived, work.finished_at if work else None),
            derived_series_uid=named.uid if named else "",
            derived_description=str(named.document["series_description"]) if named else "",
            guards=tuple(_guards(work)) if work else (),
            deliveries=tuple(_deliveries(session, series_uid, arrived)),
            audit_ok=verified.ok,
            audit_events=chain.length(session),
        )


def _seconds(since: datetime, until: datetime | None) -> float:
    return round((until - since).total_seconds(), 2) if until else 0.0


def _sentences(condition: dict[str, Any]) -> list[str]:
    """The tests of an explained condition in the order of writing."""
    if not condition.get("children"):
        return [str(condition["sentence"])]
    return [sentence for child in condition["children"] for sentence in _sentences(child)]


def _guards(work: Enhancement) -> Sequence[Guard]:
    return [
        Guard(row["guard"], row["value"], row["limit"], row["unit"], row["verdict"], row["reason"])
        for row in work.figures
    ]


def _deliveries(session: Session, series_uid: str, arrived: datetime) -> Sequence[Delivered]:
    found = []
    for row in deliveries.of_series(session, series_uid):
        items = deliveries.items(session, row.id)
        statuses = Counter("none" if item.status is None else f"{item.status:04X}H" for item in items)
        found.append(
            Delivered(
                what="originals" if row.enhancement_id is None else "derived instances",
                sent=sum(item.state == "sent" for item in items),
                total=len(items),
                statuses=dict(statuses),
                after=_seconds(arrived, row.finished_at),
                state=row.state,
                reason=row.reason,
            )
        )
    return found
