"""Rows with bytes in containers, of whatever table: what the index believes of a container."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Select, func, literal, select, update
from sqlalchemy.orm import Session

from dicomnode.db.models import Container, DeliveryItem, Enhancement, Instance, InstanceVersion, Output
from dicomnode.db.models.stored import Stored

_TABLES: tuple[type[Stored], ...] = (Instance, InstanceVersion, Output)
_CHUNK = 500


@dataclass(frozen=True)
class StoredRow:
    """One row that retention has not given up: whose bytes should lie where. `key` is its primary key."""

    table: str
    key: str | int
    sop_uid: str
    series_uid: str
    container: str
    offset: int
    length: int
    transfer_syntax_uid: str
    sha256: str
    fault: str


def in_container(session: Session, name: str) -> list[StoredRow]:
    """The rows whose bytes should lie in a container, in their order there."""
    rows = [StoredRow(*row) for query in _queries(name) for row in session.execute(query)]
    return sorted(rows, key=lambda row: row.offset)


def _queries(name: str) -> Iterator[Select[Any]]:
    instance = select(literal("instance"), Instance.sop_uid, Instance.sop_uid, Instance.series_uid)
    version = select(
        literal("instance_version"), InstanceVersion.id, InstanceVersion.sop_uid, Instance.series_uid
    ).join(Instance, Instance.sop_uid == InstanceVersion.sop_uid)
    output = select(literal("output"), Output.id, Output.sop_uid, Enhancement.series_uid).join(
        Enhancement, Enhancement.id == Output.enhancement_id
    )
    for query, model in ((instance, Instance), (version, InstanceVersion), (output, Output)):
        place = (model.container, model.offset, model.length)
        columns = (*place, model.transfer_syntax_uid, model.sha256, model.fault)
        yield query.add_columns(*columns).where(model.container == name, model.purged_at.is_(None))


def expected_containers(session: Session) -> dict[str, str]:
    """Every container that something is kept in, or that was not removed yet: the node that made it, if that is known.

    Containers of derived instances are no node's own: "".
    """
    expected = {name: "" for model in _TABLES for name in _names(session, model)}
    makers = dict(session.execute(select(Container.name, Container.node)).all())
    listed = session.scalars(select(Container.name).where(Container.removed_at.is_(None)))
    return {name: makers.get(name, "") for name in {*expected, *listed}}


def _names(session: Session, model: type[Stored]) -> Iterable[str]:
    return session.scalars(select(model.container).where(model.purged_at.is_(None)).distinct())


def is_listed(session: Session, name: str) -> bool:
    """Whether the index takes the container for one that retention has not removed."""
    query = select(Container.name).where(Container.name == name, Container.removed_at.is_(None))
    return session.scalar(query) is not None


def mark(session: Session, rows: Iterable[StoredRow], fault: str) -> list[StoredRow]:
    """Say of rows that their bytes are `missing` or `damaged`, or with "" that they are not. Returns those changed.

    A row that was given up, or stored elsewhere, since it was read is left alone.
    """
    return [row for row in rows if _mark(session, row, fault)]


def _mark(session: Session, row: StoredRow, fault: str) -> bool:
    model = _MODELS[row.table]
    key: ColumnElement[bool] = (model.sop_uid if model is Instance else model.id) == row.key  # type: ignore[union-attr]
    same = (model.container == row.container) & (model.offset == row.offset) & model.purged_at.is_(None)
    query = update(model).where(key, same, model.fault != fault).values(fault=fault)
    return bool(session.execute(query, execution_options={"synchronize_session": False}).rowcount)  # type: ignore[attr-defined]


def fail_items(session: Session, container: str, sop_uids: Sequence[str], reason: str) -> int:
    """Instances that wait to be sent from a container, but cannot be. Returns how many."""
    failed = 0
    for start in range(0, len(sop_uids), _CHUNK):
        chosen = DeliveryItem.sop_uid.in_(sop_uids[start : start + _CHUNK])
        query = update(DeliveryItem).where(DeliveryItem.container == container, chosen, DeliveryItem.state == "pending")
        failed += session.execute(query.values(state="failed", detail=reason)).rowcount  # type: ignore[attr-defined]
    return failed


def faults(session: Session) -> dict[str, int]:
    """Number of rows whose bytes are known to be missing or damaged, by fault."""
    found: dict[str, int] = {}
    for model in _TABLES:
        query = select(model.fault, func.count()).where(model.fault != "", model.purged_at.is_(None))
        for fault, count in session.execute(query.group_by(model.fault)):
            found[fault] = found.get(fault, 0) + count
    return found


_MODELS: dict[str, type[Instance] | type[InstanceVersion] | type[Output]] = {
    "instance": Instance,
    "instance_version": InstanceVersion,
    "output": Output,
}
