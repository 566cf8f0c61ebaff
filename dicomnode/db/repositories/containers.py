"""How far each container has been indexed."""

from sqlalchemy import select
from sqlalchemy.orm import Session

from dicomnode.db.models import Container


def indexed_to(session: Session) -> dict[str, int]:
    """Resume offset of every known container."""
    return dict(session.execute(select(Container.name, Container.indexed_to)).all())


def advance(session: Session, name: str, node: str, offset: int) -> None:
    """Members of `name` before `offset` are in SQL once this transaction commits."""
    row = session.get(Container, name)
    if row is None:
        session.add(Container(name=name, node=node, indexed_to=offset))
    else:
        row.indexed_to = max(row.indexed_to, offset)
