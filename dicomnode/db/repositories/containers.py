"""How far each container has been indexed: the row that decides whose reading of a container counts."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TypeVar

from sqlalchemy import bindparam, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from dicomnode.db.models import Container

_T = TypeVar("_T")
_CHUNK = 500
_ROWS = Container.metadata.tables[Container.__tablename__]
_ADVANCE = update(_ROWS).where(_ROWS.c.name == bindparam("of")).values(indexed_to=bindparam("to"))


class Moved(Exception):
    """Another index has read on in the meantime: what was read here counts for nothing, and is to be read anew."""


def indexed_to(session: Session) -> dict[str, int]:
    """Resume offset of every known container."""
    return dict(session.execute(select(Container.name, Container.indexed_to)).all())


def indexed_to_of(session: Session, names: Sequence[str]) -> dict[str, int]:
    """Resume offset of those of these containers that are known."""
    query = select(Container.name, Container.indexed_to)
    found: dict[str, int] = {}
    for chunk in _chunks(names):
        found |= dict(session.execute(query.where(Container.name.in_(chunk))).all())
    return found


def indexed_to_in(session: Session, name: str) -> int:
    """Resume offset of one container; 0 for one that is not known."""
    return session.scalar(select(Container.indexed_to).where(Container.name == name)) or 0


def begin(session: Session, node: str, offsets: Mapping[str, int]) -> None:
    """Members from these offsets on, by container, are about to be applied in this transaction, and by nobody else.

    The rows are locked in the order of their names. Raises Moved if one of them has another offset: two nodes may read
    the same container when one was taken for dead and lives, and each member must be applied once.
    """
    names = sorted(offsets)
    made = [{"name": name, "node": node, "indexed_to": 0} for name in names if not offsets[name]]
    for some in _chunks(made):
        dialect = sqlite if session.get_bind().dialect.name == "sqlite" else postgresql
        session.execute(dialect.insert(Container).on_conflict_do_nothing(), some)
    for chunk in _chunks(names):
        query = select(Container.name, Container.indexed_to).where(Container.name.in_(chunk)).order_by(Container.name)
        found = dict(session.execute(query.with_for_update()).all())
        if moved := [name for name in chunk if found.get(name, 0) != offsets[name]]:
            raise Moved(f"{moved[0]} is indexed to {found.get(moved[0], 0)}, and was read from {offsets[moved[0]]}")


def advance(session: Session, offsets: Mapping[str, int]) -> None:
    """Members before these offsets, by container, are in SQL once this transaction commits. After `begin`."""
    session.connection().execute(_ADVANCE, [{"of": name, "to": offset} for name, offset in sorted(offsets.items())])


def forget(session: Session, name: str) -> None:
    """Nothing of this container counts as indexed any more: it will be read from its start."""
    row = session.get(Container, name)
    if row is not None:
        row.indexed_to = 0


def _chunks(items: Sequence[_T]) -> Iterator[Sequence[_T]]:
    return (items[start : start + _CHUNK] for start in range(0, len(items), _CHUNK))
