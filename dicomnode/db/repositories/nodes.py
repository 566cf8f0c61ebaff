"""The nodes on this database: their signs of life, and who looks after what a dead one left.

All times are the database's. A node is living while it gave a sign of life within the last `lease` seconds and has not
said goodbye; dead, if it fell silent without one.
"""

from collections.abc import Sequence
from datetime import UTC, datetime

from sqlalchemy import ColumnElement, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from dicomnode.db.clock import Clock
from dicomnode.db.models import NodeRow

_LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)
_ROW = NodeRow.__table__.c


def find(session: Session, name: str) -> NodeRow | None:
    """The row of a node, locked and read anew."""
    query = select(NodeRow).where(NodeRow.name == name).with_for_update()
    return session.scalar(query.execution_options(populate_existing=True))


def listing(session: Session) -> Sequence[NodeRow]:
    """All nodes that ever were, by name."""
    return session.scalars(select(NodeRow).order_by(NodeRow.name)).all()


def living(session: Session, lease: float) -> Sequence[NodeRow]:
    """Those that live, by name."""
    return session.scalars(select(NodeRow).where(_lives(lease)).order_by(NodeRow.name)).all()


def dead(session: Session, lease: float) -> Sequence[NodeRow]:
    """Those that fell silent, by name."""
    return session.scalars(select(NodeRow).where(_is_dead(lease)).order_by(NodeRow.name)).all()


def add(session: Session, name: str) -> bool:
    """Add a node that has never been seen: it counts as dead. False: there is one of that name."""
    values = {"name": name, "boot": "", "version": "", "started_at": _LONG_AGO, "seen_at": _LONG_AGO, "store": ""}
    dialect = sqlite if session.get_bind().dialect.name == "sqlite" else postgresql
    statement = dialect.insert(NodeRow).values(taken_by="", **values).on_conflict_do_nothing()
    return session.scalar(statement.returning(NodeRow.name)) is not None


def enter(session: Session, name: str, boot: str, version: str, store: str) -> None:
    """The node lives, from now on, whatever was known of it: it has a row (`add`)."""
    values = {"boot": boot, "version": version, "store": store, "stopped_at": None, "taken_by": ""}
    query = update(NodeRow).where(NodeRow.name == name)
    session.execute(query.values(started_at=Clock(), seen_at=Clock(), **values))


def beat(session: Session, name: str, boot: str) -> str | None:
    """A sign of life. Returns who had taken the node for dead and looked after what it left, "" for nobody.

    None: the name has gone to another life of the node, or another process; this one must end.
    """
    row = find(session, name)
    if row is None or row.boot != boot:
        return None
    taken_by = row.taken_by
    session.execute(update(NodeRow).where(NodeRow.name == name).values(seen_at=Clock(), taken_by=""))
    return taken_by


def leave(session: Session, name: str, boot: str) -> None:
    """A goodbye: everything is indexed, so that nobody has to look after anything."""
    session.execute(update(NodeRow).where(NodeRow.name == name, NodeRow.boot == boot).values(stopped_at=Clock()))


def take(session: Session, name: str, by: str, lease: float) -> bool:
    """`by` looks after a dead node from now on. False: it came back, or a living node does already."""
    others = select(_ROW.name).where(_lives(lease))
    query = update(NodeRow).where(NodeRow.name == name, _is_dead(lease), NodeRow.taken_by.not_in(others))
    return bool(session.execute(query.values(taken_by=by)).rowcount)  # type: ignore[attr-defined]


def _lives(lease: float) -> ColumnElement[bool]:
    return NodeRow.stopped_at.is_(None) & (NodeRow.seen_at >= Clock(-lease))


def _is_dead(lease: float) -> ColumnElement[bool]:
    return NodeRow.stopped_at.is_(None) & (NodeRow.seen_at < Clock(-lease))
