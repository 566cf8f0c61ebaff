"""What a command does to one row, to several, or to all that fit: which ones, in what portions, what could not be."""

from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy.orm import Session

from dicomnode.cli.common import fail
from dicomnode.flow import Flow

AT_ONCE = 100
"""So many change in one transaction: neither workers, senders nor the index should wait for a thousand."""


def given(
    ids: Sequence[int],
    states: Sequence[str],
    *,
    fitting: bool,
    everything: bool,
    which: str,
    noun: str,
    possible: Sequence[str],
) -> Sequence[int] | None:
    """The numbers that were given; None: those that fit (`fitting`), or all of them.

    `which` asks for a choice where none, or more than one, was made. Raises CommandFailed.
    """
    if sum((bool(ids), fitting, everything)) != 1:
        fail(which)
    if ids:
        return sorted(set(ids))
    if impossible := [state for state in states if state not in possible]:
        fail(f"nothing can be done to a {noun} that is {impossible[0]}; possible are {', '.join(possible)}")
    return None


def each(flow: Flow, ids: Sequence[int], one: Callable[[Session, int], dict[str, Any]]) -> list[dict[str, Any]]:
    """What `one` says of each: it is looked at when its turn comes. A ValueError is its refusal, in words."""
    rows: list[dict[str, Any]] = []
    for start in range(0, len(ids), AT_ONCE):
        with flow.database.write() as session:
            rows += [_tried(session, id, one) for id in ids[start : start + AT_ONCE]]
    return rows


def parted(rows: Sequence[dict[str, Any]]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """What was done, and what was refused as {id, reason}."""
    done = [row for row in rows if not row["refused"]]
    return done, [{"id": row["id"], "reason": row["refused"]} for row in rows if row["refused"]]


def _tried(session: Session, id: int, one: Callable[[Session, int], dict[str, Any]]) -> dict[str, Any]:
    try:
        return {"id": id, "refused": "", **one(session, id)}
    except ValueError as error:
        return {"id": id, "refused": str(error)}
