"""Reports of storage commitment, as rows: what each says goes to the delivery that its transaction was asked for.

Who received a report, on which association and when is of no matter here: it counts by its Transaction UID, also when
the node had given up waiting for it.
"""

from sqlalchemy.orm import Session

from dicomnode.db.database import now as database_now
from dicomnode.db.models import CommitmentReport
from dicomnode.db.repositories import commitments, confirmations
from dicomnode.deliver.confirmation import loss, send_again, vouch
from dicomnode.domain.commitment import CommitmentReport as Said
from dicomnode.flow.context import Flow
from dicomnode.observe import log

_DUPLICATE_TRANSACTION = 0x0131


def keep_report(session: Session, event_type: int, said: Said, calling_aet: str, association: str) -> None:
    """A row of it, to be applied."""
    session.add(
        CommitmentReport(
            transaction_uid=said.transaction_uid,
            calling_aet=calling_aet,
            event_type=event_type,
            committed=list(said.committed),
            failed=[list(pair) for pair in said.failed],
            association=association,
            received_at=database_now(session),
        )
    )


def apply_reports(flow: Flow) -> int:
    """Apply what was reported, one transaction each. Returns how many. Safe on any number of nodes."""
    applied = 0
    while True:
        with flow.database.read() as session:
            if not commitments.anything_reported(session):
                return applied
        with flow.database.write() as session:
            report = commitments.open_report(session)
            if report is None:  # another node has the last of them in hand
                return applied
            report.applied_at = database_now(session)
            _apply(flow, session, report)
        applied += 1


def _apply(flow: Flow, session: Session, report: CommitmentReport) -> None:
    transaction = commitments.find(session, report.transaction_uid)
    if transaction is None:
        log.warning("a report of storage commitment on a transaction that this node never began", report=report.id)
        return
    row = confirmations.lock(session, transaction.delivery_id)
    asked = set(transaction.sop_uids)
    failed = {uid: int(reason) for uid, reason in report.failed if uid in asked}
    committed = asked.intersection(report.committed) - failed.keys()
    outcome, reason = _outcome(asked, committed, failed)
    is_first = commitments.move(session, transaction.transaction_uid, outcome, reason)
    vouch(session, row, committed, "commitment", flow.node)
    if is_first and outcome == "failed":
        lost = {uid: loss(reason) for uid, reason in failed.items()}
        allowed = flow.settings.confirmation.requests
        send_again(session, row, lost, transaction.asked_at, allowed, flow.node)


def _outcome(asked: set[str], committed: set[str], failed: dict[str, int]) -> tuple[str, str]:
    """The state that a report moves its transaction to, and why."""
    if failed and set(failed.values()) != {_DUPLICATE_TRANSACTION}:
        return "failed", f"{len(failed)} of {len(asked)} instances are not kept"
    if failed or committed != asked:
        return "lapsed", f"the report says nothing of {len(asked) - len(committed)} of {len(asked)} instances"
    return "committed", ""
