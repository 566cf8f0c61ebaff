"""What modalities asked this node to keep for good: storage commitment as SCP (PS3.4 Annex J).

A request is one node's for as long as its `due_at` lies in the future: who takes it moves that on, by a condition.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import ColumnElement, select, update
from sqlalchemy.orm import Session

from dicomnode.db.clock import Clock
from dicomnode.db.database import now
from dicomnode.db.models import CommitmentRequest
from dicomnode.domain.states import REQUEST

OPEN = ("waiting", "judged")


@dataclass(frozen=True)
class Asked:
    """One N-ACTION as a receiver noted it. `instances`: (SOP Class UID, SOP Instance UID) pairs."""

    transaction_uid: str
    calling_aet: str
    called_aet: str
    address: str
    association: str
    instances: Sequence[tuple[str, str]]
    received_at: datetime


Became = Literal["new", "known", "again", "refused"]
"""`known`: this very note, or one more while the first is not answered yet. `again`: it gets the same answer again."""


def ask(session: Session, asked: Asked, refusal: int) -> tuple[CommitmentRequest, Became]:
    """Keep a request. A list that differs from the first under its Transaction UID fails as a whole with `refusal`."""
    same = (CommitmentRequest.calling_aet == asked.calling_aet) & (
        CommitmentRequest.transaction_uid == asked.transaction_uid
    )
    rows = session.scalars(select(CommitmentRequest).where(same).order_by(CommitmentRequest.ordinal)).all()
    for row in rows:
        if {tuple(pair) for pair in row.instances} == set(asked.instances):
            return row, _ask_again(session, row, asked)
    instant = now(session)
    row = CommitmentRequest(**vars(asked) | {"instances": [list(pair) for pair in asked.instances]})
    row.ordinal, row.state, row.due_at = len(rows), "waiting", instant
    if rows:
        words = "its Transaction UID was used before, for other instances"
        row.state, row.reason = "judged", words
        row.failures = {uid: [refusal, words] for _, uid in asked.instances}
    session.add(row)
    session.flush()
    return row, "refused" if rows else "new"


def _ask_again(session: Session, row: CommitmentRequest, asked: Asked) -> Became:
    if row.received_at >= asked.received_at or not reopen(session, row):
        return "known"
    row.received_at, row.association, row.address = asked.received_at, asked.association, asked.address
    return "again"


def reopen(session: Session, row: CommitmentRequest) -> bool:
    """The answer that was given, or given up, is given once more. False: it is still to be given for the first time."""
    before = CommitmentRequest.state.in_(set(REQUEST.before("judged")) - {"waiting"})
    values = {"state": "judged", "due_at": now(session), "attempts": 0, "report_until": None, "finished_at": None}
    changed = _change(session, (CommitmentRequest.id == row.id) & before, values)
    session.refresh(row)
    return changed


def due(
    session: Session, node: str, state: Literal["waiting", "judged"], limit: int, without: Collection[str] = ()
) -> list[tuple[str, int]]:
    """Requests in this state that this node may take now, the longest due first, as (AE title of who asked, id).

    Those of the modalities in `without` are left out.
    """
    columns = select(CommitmentRequest.calling_aet, CommitmentRequest.id)
    query = columns.where(_ready(node), CommitmentRequest.state == state)
    query = query.where(CommitmentRequest.calling_aet.not_in(sorted(without)))
    return [(title, id) for title, id in session.execute(query.order_by(CommitmentRequest.due_at).limit(limit))]


def _ready(node: str) -> ColumnElement[bool]:
    """Its time has come; or this node had taken it and did not finish: what it has in hand it does not ask for."""
    is_open = CommitmentRequest.due_at.is_not(None) & CommitmentRequest.state.in_(OPEN)
    return is_open & ((CommitmentRequest.due_at <= Clock()) | (CommitmentRequest.claimed_by == node))


def claim(session: Session, id: int, node: str, seconds: float) -> CommitmentRequest | None:
    """Take a request for so many seconds on the database's clock. None: another node was faster."""
    values = {"due_at": Clock(seconds), "claimed_by": node}
    if not _change(session, (CommitmentRequest.id == id) & _ready(node), values):
        return None
    return session.get_one(CommitmentRequest, id, populate_existing=True)


def renew(session: Session, row: CommitmentRequest, seconds: float) -> CommitmentRequest | None:
    """Hold a claim for so many seconds more: the row anew. None: it has lapsed, and somebody else has it."""
    if not move(session, row, due_at=Clock(seconds), claimed_by=row.claimed_by):
        return None
    return session.get_one(CommitmentRequest, row.id, populate_existing=True)


def move(session: Session, row: CommitmentRequest, **values: Any) -> bool:
    """Change a request as it was claimed, which ends the claim. False: that has lapsed, and nothing was changed.

    A `state` moves along an arrow of `REQUEST`.
    """
    states = REQUEST.before(values["state"]) if "state" in values else (row.state,)
    ours = (CommitmentRequest.id == row.id) & (CommitmentRequest.due_at == row.due_at)
    return _change(session, ours & CommitmentRequest.state.in_(states), {"claimed_by": ""} | values)


def postpone_peer(session: Session, calling_aet: str, until: datetime) -> None:
    """The modality cannot be reached: whatever else it is to be told waits as well."""
    judged = (CommitmentRequest.calling_aet == calling_aet) & (CommitmentRequest.state == "judged")
    _change(session, judged & (CommitmentRequest.due_at <= Clock()), {"due_at": until})


def _change(session: Session, which: ColumnElement[bool], values: Mapping[str, Any]) -> bool:
    query = update(CommitmentRequest).where(which).values(values)
    return bool(session.execute(query, execution_options={"synchronize_session": False}).rowcount)  # type: ignore[attr-defined]


def find(session: Session, transaction_uid: str, calling_aet: str = "") -> Sequence[CommitmentRequest]:
    """Requests with this Transaction UID, of one modality or of any."""
    query = select(CommitmentRequest).where(CommitmentRequest.transaction_uid == transaction_uid)
    if calling_aet:
        query = query.where(CommitmentRequest.calling_aet == calling_aet)
    return session.scalars(query.order_by(CommitmentRequest.id)).all()


def listing(session: Session, limit: int, state: str | None = None) -> Sequence[CommitmentRequest]:
    """The newest first."""
    query = select(CommitmentRequest).order_by(CommitmentRequest.id.desc()).limit(limit)
    return session.scalars(query.where(CommitmentRequest.state == state) if state else query).all()
