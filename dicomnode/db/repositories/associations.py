"""Associations as the receivers noted them."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, and_, func, select, update
from sqlalchemy.orm import Session

from dicomnode.db.models import Association

_LOST = "lost:"
"""How the outcome begins of one that nobody saw end."""


def opened(session: Session, *, id: str, node: str, calling_aet: str, called_aet: str, peer: str, at: datetime) -> None:
    """An association opened. Seen twice (a container read again) it stays one row."""
    if session.get(Association, id) is None:
        session.add(
            Association(
                id=id, node=node, calling_aet=calling_aet, called_aet=called_aet, peer=peer, opened_at=at, counts={}
            )
        )


def closed(session: Session, id: str, outcome: str, counts: Mapping[str, Any], at: datetime) -> None:
    """An association ended with a release, an abort or a lost connection.

    This is its receiver's own word: it goes before what was said of it while its node seemed dead.
    """
    values = {"closed_at": at, "outcome": outcome, "counts": dict(counts)}
    in_doubt = Association.closed_at.is_(None) | Association.outcome.startswith(_LOST)
    session.execute(update(Association).where(Association.id == id, in_doubt).values(values))


def close_leftovers(session: Session, node: str, at: datetime) -> int:
    """Close what an earlier life of this node left open. Returns how many there were."""
    return _lose(session, Association.node == node, f"{_LOST} the node stopped", at)


def close_of_boot(session: Session, node: str, boot: str, at: datetime) -> int:
    """Close what a receiving process left open that died; `boot` is its journal's. Returns how many there were."""
    of_boot = and_(Association.node == node, Association.id.startswith(f"{boot}-", autoescape=True))
    return _lose(session, of_boot, f"{_LOST} the receiving process died", at)


def _lose(session: Session, where: ColumnElement[bool], outcome: str, at: datetime) -> int:
    query = update(Association).where(where, Association.closed_at.is_(None)).values(closed_at=at, outcome=outcome)
    return int(session.execute(query).rowcount)  # type: ignore[attr-defined]


def open_from(session: Session, calling_aet: str) -> int:
    """Number of associations open now from an AE title."""
    query = select(func.count()).where(Association.calling_aet == calling_aet, Association.closed_at.is_(None))
    return session.scalar(query) or 0
