"""One job and one delivery with all that belongs to them."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from sqlalchemy.orm import Session

from dicomnode.db.database import now as database_now
from dicomnode.db.models import AuditEvent, Commitment, Delivery, DeliveryItem, Enhancement, RuleDecision, Series
from dicomnode.db.repositories import commitments, deliveries, delivery_list, enhancements, holds, queue_events
from dicomnode.db.repositories import series as series_rows
from dicomnode.desk.bulk import Verb
from dicomnode.desk.deliveries import VERBS as DELIVERY_VERBS
from dicomnode.desk.destinations.health import healths
from dicomnode.desk.jobs import VERBS as JOB_VERBS
from dicomnode.desk.queue import PRIORITY_NAMES, send_waits_for
from dicomnode.desk.refused import Refused
from dicomnode.flow import Flow
from dicomnode.jobs.waiting import waits_for
from dicomnode.jobs.work import subject_of


class JobStory(NamedTuple):
    """A job: what it waits for, what it made, who asked for it, where it goes, what happened to it."""

    job: Enhancement
    series: Series
    waits_for: str
    outputs: int
    derived_uid: str
    decisions: Sequence[RuleDecision]
    deliveries: Sequence[Delivery]
    events: Sequence[AuditEvent]

    @property
    def priority(self) -> str:
        return PRIORITY_NAMES[self.job.priority]

    @property
    def possible(self) -> list[str]:
        """What can be done to it now."""
        return _possible(JOB_VERBS, self.job.state)


class DeliveryStory(NamedTuple):
    """A delivery: what it waits for, its instances by state, its commitments, what happened to it."""

    delivery: Delivery
    series: Series
    waits_for: str
    instances: Mapping[str, int]
    warnings: int
    commitments: Sequence[Commitment]
    events: Sequence[AuditEvent]

    @property
    def priority(self) -> str:
        return PRIORITY_NAMES[self.delivery.priority]

    @property
    def possible(self) -> list[str]:
        """What can be done to it now."""
        return _possible(DELIVERY_VERBS, self.delivery.state)


def job(flow: Flow, id: int) -> JobStory:
    """Raises Refused where there is none of that number."""
    with flow.database.read() as session:
        row = enhancements.find(session, id)
        if row is None:
            raise Refused(f"there is no job {id}", "missing")
        derived = enhancements.derived_series(session, id)
        return JobStory(
            row,
            _series(session, row.series_uid),
            waits_for(row, holds.listing(session), flow.settings.engine.off_peak_hours, database_now(session)),
            len(enhancements.outputs(session, id)),
            derived.uid if derived else "",
            queue_events.decisions_for(session, id),
            deliveries.by_enhancement(session, id),
            queue_events.about(session, subject_of(id)),
        )


def delivery(flow: Flow, id: int) -> DeliveryStory:
    """Raises Refused where there is none of that number."""
    with flow.database.read() as session:
        row = deliveries.find(session, id)
        if row is None:
            raise Refused(f"there is no delivery {id}", "missing")
        return DeliveryStory(
            row,
            _series(session, row.series_uid),
            send_waits_for(row, healths(session, flow.site.get(session)[1].destinations)),
            deliveries.counts(session, id),
            deliveries.warnings(session, id),
            commitments.of_delivery(session, id),
            queue_events.about(session, f"delivery:{id}"),
        )


def items(
    flow: Flow, delivery_id: int, limit: int, after: int | None = None, state: str = ""
) -> Sequence[DeliveryItem]:
    """Instances of a delivery, in the order they were planned in, beginning behind `after`. Raises Refused."""
    with flow.database.read() as session:
        if deliveries.find(session, delivery_id) is None:
            raise Refused(f"there is no delivery {delivery_id}", "missing")
        return delivery_list.items(session, delivery_id, limit, after, state)


def _series(session: Session, uid: str) -> Series:
    row = series_rows.find(session, uid)
    assert row is not None, "a foreign key says that it is there"
    return row


def _possible(verbs: Mapping[str, Verb], state: str) -> list[str]:
    return [name for name, verb in verbs.items() if state in verb.possible]
