"""How far each container has been indexed."""

from collections.abc import Mapping

from sqlalchemy import select
from sqlalchemy.orm import Session

from dicomnode.db.models import Container


def indexed_to(session: Session) -> dict[str, int]:
    """Resume offset of every known container."""
    return dict(session.execute(select(Container.name, Container.indexed_to)).all())


def indexed_to_in(session: Session, name: str) -> int:
    """Resume offset of one container; 0 for one that is not known."""
    return session.scalar(select(Container.indexed_to).where(Container.name == name)) or 0


def advance(session: Session, node: str, offsets: Mapping[str, int]) -> None:
    """Members before these offsets, by container, are in SQL once this transaction commits."""
    names = sorted(offsets)
    known: dict[str, Container] = {}
    for start in range(0, len(names), 500):
        query = select(Container).where(Container.name.in_(names[start : start + 500]))
        known.update((row.name, row) for row in session.scalars(query))
    for name in names:
        if name in known:
            known[name].indexed_to = max(known[name].indexed_to, offsets[name])
        else:
            session.add(Container(name=name, node=node, indexed_to=offsets[name]))


def forget(session: Session, name: str) -> None:
    """Nothing of this container counts as indexed any more: it will be read from its start."""
    row = session.get(Container, name)
    if row is not None:
        row.indexed_to = 0
