"""The nodes on this database: which live, who looks after the dead, and what each has in hand."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from dicomnode.db.repositories import in_hand
from dicomnode.db.repositories import nodes as rows
from dicomnode.db.repositories.in_hand import InHand


@dataclass(frozen=True)
class NodeState:
    """A node on this database: `alive`, `stopped` (it said goodbye) or `silent`, and who looks after its estate."""

    name: str
    state: str
    version: str
    started_at: datetime
    seen_at: datetime
    taken_by: str
    has: InHand


def nodes(session: Session, lease: float) -> list[NodeState]:
    """All that ever were, by name. `lease`: seconds without a sign of life after which one is silent."""
    living = {row.name for row in rows.living(session, lease)}
    having = in_hand.by_node(session)
    return [
        NodeState(
            row.name,
            "alive" if row.name in living else "stopped" if row.stopped_at is not None else "silent",
            row.version,
            row.started_at,
            row.seen_at,
            row.taken_by,
            having.get(row.name, InHand()),
        )
        for row in rows.listing(session)
    ]
