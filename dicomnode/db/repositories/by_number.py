"""Rows that have numbers and states, found by filters: a page of the newest, or all.

A filter has one part for each state, because each state has an index of its own.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, and_, literal_column, select
from sqlalchemy.orm import InstrumentedAttribute, Session


class Part(NamedTuple):
    """What rows have to be, and the number in whose order they are wanted: as an index has it, or as none has."""

    conditions: Sequence[ColumnElement[bool]]
    id: ColumnElement[int]


def newest(
    session: Session, number: InstrumentedAttribute[int], parts: Sequence[Part], limit: int, before: int | None
) -> list[int]:
    """The highest numbers of what fits any part, `limit` of them, below `before`.

    Numbers first, then what belongs to them: most filters are answered from an index alone.
    """
    found: list[int] = []
    for part in parts:
        query = select(number).where(*part.conditions).order_by(part.id.desc()).limit(limit)
        found += session.scalars(query if before is None else query.where(part.id < before))
    return sorted(found, reverse=True)[:limit]


def every(session: Session, number: InstrumentedAttribute[int], parts: Sequence[Part]) -> list[int]:
    """The numbers of all that fits any part, the lowest first."""
    return sorted(id for part in parts for id in session.scalars(select(number).where(*part.conditions)))


def in_state(column: InstrumentedAttribute[str], state: str, open: Sequence[str]) -> ColumnElement[bool]:
    """In this state, in the words of partial indexes: each `open` state has one, and all that is over has one."""
    if state in open:
        return column == literal_column(f"'{state}'")
    return and_(column == state, *(column != literal_column(f"'{each}'") for each in open))


def equal(wanted: dict[Any, str]) -> list[ColumnElement[bool]]:
    """Columns that have to be equal to a text; an empty one asks for nothing."""
    return [column == text for column, text in wanted.items() if text]
