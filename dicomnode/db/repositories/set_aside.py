"""Members of containers that the database refused: what the audit log tells of them, which is all that it has."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from dicomnode.db.models import AuditEvent, Container

SET_ASIDE, TAKEN_IN, WRITTEN_OFF = "store.set_aside", "store.taken_in", "store.written_off"
_KINDS = (SET_ASIDE, TAKEN_IN, WRITTEN_OFF)


@dataclass(frozen=True)
class SetAside:
    """One member that is not in the index. `offset`: of its header in the container."""

    container: str
    offset: int
    what: str
    """`instance` or `event`."""
    reason: str

    @property
    def subject(self) -> str:
        """What audit events call it."""
        return f"container:{self.container}@{self.offset}"


def waiting(session: Session) -> list[SetAside]:
    """What was set aside, and neither taken in nor written off since, in the order in which it was."""
    query = select(AuditEvent.kind, AuditEvent.detail).where(AuditEvent.kind.in_(_KINDS))
    found: dict[tuple[str, int], SetAside] = {}
    for kind, detail in session.execute(query.order_by(AuditEvent.id)):
        where = str(detail["container"]), int(detail["offset"])
        if kind == SET_ASIDE:
            found[where] = SetAside(*where, str(detail["member"]), str(detail["reason"]))
        else:
            found.pop(where, None)
    return list(found.values())


def claim(session: Session, aside: SetAside) -> bool:
    """Nobody else takes this member in until the transaction ends. False: somebody has, or its container is gone."""
    query = select(Container.name).where(Container.name == aside.container, Container.removed_at.is_(None))
    if session.scalar(query.with_for_update()) is None:
        return False
    told = session.execute(select(AuditEvent.id, AuditEvent.kind).where(AuditEvent.subject == aside.subject))
    last = max(((number, kind) for number, kind in told if kind in _KINDS), default=(0, ""))
    return last[1] == SET_ASIDE


def containers(session: Session) -> Sequence[str]:
    """The containers that hold them, which retention has to leave alone."""
    return sorted({aside.container for aside in waiting(session)})
