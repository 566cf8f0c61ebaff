"""What receivers noted of storage commitment, applied to SQL: a row each, and its audit event."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from dicomnode.audit.events import record
from dicomnode.db.models import CommitmentReport
from dicomnode.db.repositories import commitment_notes, commitment_requests
from dicomnode.db.repositories.commitment_requests import Asked
from dicomnode.domain.vouching import FailureReason


def requested(session: Session, event: Mapping[str, Any], at: datetime, node: str) -> None:
    """A modality asked this node to keep instances for good."""
    asked = Asked(
        transaction_uid=event["transaction_uid"],
        calling_aet=event["calling_aet"],
        called_aet=event["called_aet"],
        address=event["peer"],
        association=event["association"],
        instances=[(sop_class, sop_uid) for sop_class, sop_uid in event["instances"]],
        received_at=at,
    )
    row, became = commitment_requests.ask(session, asked, FailureReason.DUPLICATE_TRANSACTION)
    if became == "known":
        return
    wants = f"{asked.calling_aet} asks this node to keep {len(asked.instances)} instances"
    words = {"new": "", "again": ", once more", "refused": f": {row.reason}"}[became]
    record(
        session,
        "commitment.requested",
        wants + words,
        node=node,
        at=at,
        outcome="failure" if became == "refused" else "success",
        subject=f"commitment:{asked.transaction_uid}",
        detail={"association": asked.association, "peer": asked.address, "instances": len(asked.instances)},
    )


def reported(session: Session, event: Mapping[str, Any], at: datetime, node: str) -> None:
    """Somebody reported what he keeps; whether this node had asked him for it, its row says once it was applied."""
    report = CommitmentReport(
        transaction_uid=event["transaction_uid"],
        calling_aet=event["calling_aet"],
        event_type=event["event_type"],
        committed=event["committed"],
        failed=event["failed"],
        association=event["association"],
        received_at=at,
    )
    if not commitment_notes.keep_report(session, report):
        return
    committed, failed = len(report.committed), len(report.failed)
    record(
        session,
        "commitment.heard",
        f"{report.calling_aet} reports {committed} instances as kept and {failed} as not kept",
        node=node,
        at=at,
        outcome="warning" if failed else "success",
        subject=f"commitment:{report.transaction_uid}",
        detail={"association": report.association, "peer": event["peer"], "committed": committed, "failed": failed},
    )
