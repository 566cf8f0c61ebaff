"""Telling a modality what became of its request for storage commitment: N-EVENT-REPORT on an association of our own."""

from datetime import timedelta
from random import SystemRandom

from sqlalchemy.orm import Session

from dicomnode.audit.events import record
from dicomnode.db.database import now as database_now
from dicomnode.db.models import CommitmentRequest
from dicomnode.db.repositories import commitment_requests
from dicomnode.deliver.backoff import Backoff
from dicomnode.deliver.commitment import report_commitment
from dicomnode.deliver.destination import Destination, Timeouts
from dicomnode.deliver.outcome import AssociationFailed
from dicomnode.domain.peer import host_and_port
from dicomnode.flow.context import Flow
from dicomnode.observe import checkpoint

TIMEOUTS = Timeouts(connect=5.0, acse=10.0, dimse=20.0)
"""Together shorter than a claim on the request."""

BACKOFF = Backoff(first=2.0, cap=300.0)
_RANDOM = SystemRandom()


def report_request(flow: Flow, request: CommitmentRequest) -> None:
    """Report a judged request that was claimed, and note how that went. Raises database errors."""
    destination = _where(flow, request.calling_aet)
    if destination is None:
        title = request.calling_aet
        reason = f"nobody knows where {title} listens: add a destination with this AE title, or set "
        _abandon(flow, request, reason + f'dicom.peers."{title}".report_to')
        return
    trouble = _tell(destination, request)
    checkpoint("told")
    with flow.database.write() as session:
        if trouble:
            _try_later(flow, session, request, destination, trouble)
        else:
            _heard(flow, session, request, destination)


def _where(flow: Flow, calling_aet: str) -> Destination | None:
    """Where the modality of this AE title is told: the site's destination of this title, else as the settings say."""
    with flow.database.read() as session:
        _, site = flow.site.get(session)
    for entry in site.destinations:
        if entry.ae_title.strip() == calling_aet.strip() and entry.enabled:
            return Destination.of(entry, flow.settings.tls)
    rule = flow.settings.dicom.peers.get(calling_aet.strip())
    if rule is None or rule.report_to is None:
        return None
    return Destination(calling_aet, calling_aet, *host_and_port(rule.report_to))


def _tell(destination: Destination, request: CommitmentRequest) -> str:
    """Why it was not heard; empty when it was."""
    listed = [(sop_class_uid, sop_uid) for sop_class_uid, sop_uid in request.instances]
    failures = {uid: int(reason) for uid, (reason, _) in request.failures.items()}
    try:
        status = report_commitment(
            destination, request.called_aet, request.transaction_uid, listed, failures, timeouts=TIMEOUTS
        )
    except AssociationFailed as failure:
        return str(failure.reason)
    return "" if status == 0 else f"{destination} answered the report with status {status:04X}"


def _heard(flow: Flow, session: Session, request: CommitmentRequest, destination: Destination) -> None:
    now = database_now(session)
    if not commitment_requests.move(session, request, state="reported", due_at=None, finished_at=now, reason=""):
        return
    failed, total = len(request.failures), len({uid for _, uid in request.instances})
    _record(flow, session, request, "commitment.reported", f"{destination} was told: {total - failed} of {total} kept")


def _try_later(
    flow: Flow, session: Session, request: CommitmentRequest, destination: Destination, trouble: str
) -> None:
    """Once more after a pause that grows, until the time is up; all else that this modality is to be told waits too."""
    now = database_now(session)
    until = request.report_until or now + timedelta(hours=flow.settings.dicom.commitment_hours)
    if now >= until:
        _give_up(flow, session, request, f"{trouble}; it was tried {request.attempts + 1} times")
        return
    attempts = request.attempts + 1
    due_at = now + timedelta(seconds=BACKOFF.delay(attempts, _RANDOM))
    if commitment_requests.move(
        session, request, due_at=min(due_at, until), attempts=attempts, report_until=until, reason=trouble
    ):
        commitment_requests.postpone_peer(session, request.calling_aet, due_at)


def _abandon(flow: Flow, request: CommitmentRequest, reason: str) -> None:
    with flow.database.write() as session:
        _give_up(flow, session, request, reason)


def _give_up(flow: Flow, session: Session, request: CommitmentRequest, reason: str) -> None:
    now = database_now(session)
    if commitment_requests.move(session, request, state="abandoned", due_at=None, finished_at=now, reason=reason):
        _record(flow, session, request, "commitment.abandoned", reason, "failure")


def _record(
    flow: Flow, session: Session, request: CommitmentRequest, kind: str, message: str, outcome: str = "success"
) -> None:
    record(
        session,
        kind,
        message,
        node=flow.node,
        outcome=outcome,
        subject=f"commitment:{request.transaction_uid}",
        detail={"calling_aet": request.calling_aet, "failed": len(request.failures)},
    )
