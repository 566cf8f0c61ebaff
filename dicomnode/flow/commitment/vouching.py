"""Storage commitment for modalities: a request is judged once all in it is decided; what is said then is final.

States: `domain.states.REQUEST`. A request is claimed by moving its due time on, so that any node may do any of this.
Who is told: `telling`.
"""

import time
from collections import Counter
from collections.abc import Mapping
from datetime import timedelta
from typing import TypeVar

from sqlalchemy.orm import Session

from dicomnode.audit.events import record
from dicomnode.db.database import now as database_now
from dicomnode.db.models import CommitmentRequest
from dicomnode.db.repositories import commitment_requests, custody
from dicomnode.domain.vouching import Fail, Wait, too_late
from dicomnode.flow.commitment.custody import Custody
from dicomnode.flow.context import Flow
from dicomnode.observe import checkpoint
from dicomnode.store.doctor import Trouble
from dicomnode.store.repair import repair

LEASE_SECONDS = 60.0
"""A claim that was not renewed for so long another node may take; reporting takes less, judging renews it."""

_Kind = TypeVar("_Kind", Fail, Wait)
BATCH = 20
_WORDS = 3
"""What is said of instances is counted; so many different things are named."""
_SHORTEST, _LONGEST = timedelta(seconds=1), timedelta(minutes=1)


def judge_due(flow: Flow) -> bool:
    """Judge what is due. Returns whether there was anything. Safe on any number of nodes, and to be killed.

    A request that fails does not hold the others up: its error is raised when they are done.
    """
    with flow.database.read() as session:
        due = commitment_requests.due(session, flow.node, "waiting", BATCH)
    failures = []
    for _, id in due:
        try:
            request = take(flow, id)
            if request is not None and request.state == "waiting":
                _judge(flow, request)
        except Exception as error:
            failures.append(error)
    if failures:
        raise failures[0]
    return bool(due)


def take(flow: Flow, id: int) -> CommitmentRequest | None:
    """Claim a request. None: another node was faster."""
    with flow.database.write() as session:
        return commitment_requests.claim(session, id, flow.node, LEASE_SECONDS)


def _judge(flow: Flow, request: CommitmentRequest) -> None:
    found = Custody(flow, request)
    claim = _Claim(flow, request)
    late = found.seen_at >= request.received_at + timedelta(hours=flow.settings.dicom.commitment_hours)
    if late or not _of(found, Wait):
        found.read_bytes(claim.renew)
    if late:
        found.opinions = too_late(found.opinions)
    checkpoint("weighed")
    with flow.database.write() as session:
        ours = commitment_requests.renew(session, claim.request, LEASE_SECONDS)  # it is locked from here on
        if ours is None:
            return
        if waits := _of(found, Wait):
            due_at = database_now(session) + _pause(found.seen_at - request.received_at)
            commitment_requests.move(session, ours, due_at=due_at, reason=_words(waits))
        else:
            _settle(flow, session, ours, found)
    checkpoint("judged")


class _Claim:
    """A claim on a request, renewed while its bytes are read."""

    def __init__(self, flow: Flow, request: CommitmentRequest) -> None:
        self.request, self._flow = request, flow
        self._renewed = time.monotonic()

    def renew(self) -> None:
        if time.monotonic() - self._renewed < LEASE_SECONDS / 4:
            return
        with self._flow.database.write() as session:
            self.request = commitment_requests.renew(session, self.request, LEASE_SECONDS) or self.request
        self._renewed = time.monotonic()


def _settle(flow: Flow, session: Session, request: CommitmentRequest, found: Custody) -> None:
    """The judgement, what it promises and what it found damaged."""
    here = found.kept_here()
    for lost in custody.promise(session, here, request.calling_aet):
        found.retract(here.pop(lost))
    failures = _of(found, Fail)
    failed, total, words = len(failures), len(found.opinions), _words(failures)
    reasons = {uid: [int(failure.reason), failure.words] for uid, failure in failures.items()}
    due_at = database_now(session)
    commitment_requests.move(session, request, state="judged", due_at=due_at, failures=reasons, reason=words)
    _note_damage(flow, session, found)
    message = f"{total - failed} of {total} instances are kept for {request.calling_aet}"
    detail = {
        "calling_aet": request.calling_aet,
        "committed": total - failed,
        "failed": {uid: f"{failure.reason:04X} {failure.words}" for uid, failure in failures.items()},
        "kept_here": sorted(here),
    }
    record(
        session,
        "commitment.judged",
        message + (f"; not kept: {words}" if words else ""),
        node=flow.node,
        outcome="warning" if failed else "success",
        subject=f"commitment:{request.transaction_uid}",
        detail=detail,
    )


def _note_damage(flow: Flow, session: Session, found: Custody) -> None:
    """Nobody reads what proved to be damaged from now on, and the same instance takes its place when it comes again."""
    for container in sorted({row.container for row in found.damaged}):
        rows = [row for row in found.damaged if row.container == container]
        trouble = Trouble("damaged", container, "found when a modality asked for them to be kept", rows, len(rows))
        repair(session, flow.root, trouble, flow.node)


def _of(found: Custody, kind: type[_Kind]) -> dict[str, _Kind]:
    return {uid: opinion for uid, opinion in found.opinions.items() if isinstance(opinion, kind)}


def _words(opinions: Mapping[str, Fail | Wait]) -> str:
    """What is said of how many: the commonest first."""
    said = Counter(opinion.words for opinion in opinions.values())
    words = [f"{count} x {words}" if len(opinions) > 1 else words for words, count in said.most_common(_WORDS)]
    return "; ".join(words) + ("; ..." if len(said) > _WORDS else "")


def _pause(age: timedelta) -> timedelta:
    """The older a request, the less often it is looked at."""
    return min(max(age / 4, _SHORTEST), _LONGEST)
