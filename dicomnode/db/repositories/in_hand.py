"""What each node has in hand at this moment; what falls due is any node's and counts for none."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import Row, func, literal_column, select
from sqlalchemy.orm import Session

from dicomnode.db.models import Association, CommitmentRequest, Delivery, Enhancement


@dataclass(frozen=True)
class InHand:
    """Numbers: associations that are open, jobs that run, deliveries that are sent, and modalities' requests for
    storage commitment that are judged or reported. A dead node's are those that nobody has taken over yet."""

    associations: int = 0
    jobs: int = 0
    deliveries: int = 0
    requests: int = 0


def by_node(session: Session) -> dict[str, InHand]:
    """By the node's name; a node that has nothing in hand may be missing."""
    found: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for what, rows in {
        "associations": _associations(session),
        "jobs": _jobs(session),
        "deliveries": _deliveries(session),
        "requests": _requests(session),
    }.items():
        for node, count in rows:
            found[node][what] += count
    return {node: InHand(**counts) for node, counts in found.items()}


def _associations(session: Session) -> Iterable[Row[str, int]]:
    query = select(Association.node, func.count()).where(Association.closed_at.is_(None))
    return session.execute(query.group_by(Association.node))


def _jobs(session: Session) -> Iterable[tuple[str, int]]:
    """Workers are called NODE/DEVICE/NUMBER."""
    running = Enhancement.state == literal_column("'running'")
    query = select(Enhancement.worker, func.count()).where(running).group_by(Enhancement.worker)
    return [(worker.partition("/")[0], count) for worker, count in session.execute(query)]


def _deliveries(session: Session) -> Iterable[Row[str, int]]:
    sending = Delivery.state == literal_column("'sending'")
    return session.execute(select(Delivery.node, func.count()).where(sending).group_by(Delivery.node))


def _requests(session: Session) -> Iterable[Row[str, int]]:
    query = select(CommitmentRequest.claimed_by, func.count())
    query = query.where(CommitmentRequest.due_at.is_not(None), CommitmentRequest.claimed_by != "")
    return session.execute(query.group_by(CommitmentRequest.claimed_by))
