"""derive -> deliver: committed outputs go to the destinations of the rules that asked for them."""

from datetime import datetime

from sqlalchemy.orm import Session

from dicomnode.db.models import Enhancement
from dicomnode.db.repositories import enhancements
from dicomnode.db.repositories import series as series_rows
from dicomnode.db.repositories import site as site_rows
from dicomnode.deliver.plan import Sendable, Subject, plan_delivery
from dicomnode.domain.instance import Location
from dicomnode.flow.context import Flow


def plan_outputs(flow: Flow, session: Session, row: Enhancement, now: datetime) -> None:
    """Plan the delivery of everything that is committed and kept. What is planned already stays as it is."""
    series = series_rows.find(session, row.series_uid)
    assert series is not None
    subject = Subject(series.uid, series.study_uid, row.id)
    outputs = [
        Sendable(
            output.sop_uid,
            output.sop_class_uid,
            output.transfer_syntax_uid,
            Location(output.container, output.offset, output.length),
        )
        for output in enhancements.outputs(session, row.id)
        if not output.gone
    ]
    for decision in site_rows.matches_of(session, row.id):
        for destination in decision.deliver_to:
            plan_delivery(
                session,
                destination,
                subject,
                outputs,
                rule=decision.rule,
                node=flow.node,
                now=now,
                priority=row.priority,
            )
