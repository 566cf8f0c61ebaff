"""Verification for people: in the background, one at a time, and its result as an event."""

import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

from dicomnode.audit import chain
from dicomnode.audit.anchors import Anchor, AnchorFile, readers
from dicomnode.audit.events import record
from dicomnode.audit.verification import Verification, verify
from dicomnode.db.models import AuditEvent
from dicomnode.db.repositories.audit_search import Filters, search
from dicomnode.desk.person import Person
from dicomnode.desk.refused import Refused
from dicomnode.flow import Flow
from dicomnode.observe import log


@dataclass
class Running:
    """A verification under way: `checked` of `total` links so far."""

    by: str
    total: int
    started_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    checked: int = 0


@dataclass(frozen=True)
class State:
    """The chain as it is known without verifying it.

    `last_event_at`: of the event sealed last; `anchor`: the newest of this node's folder; `verified`: the last
    `audit.verified` event; `running`: on this node, now; `trouble`: why the last one on this node came to no result.
    """

    length: int
    last_event_at: datetime | None
    anchors: str
    anchor: Anchor | None
    verified: AuditEvent | None
    running: Running | None
    trouble: str


_running: dict[str, Running] = {}
_trouble: dict[str, str] = {}
_lock = threading.Lock()
"""By database: what runs in this process. A verification changes nothing, so a process that ends just loses it."""


def state(flow: Flow) -> State:
    """Length, last seal, last anchor, last verification."""
    url = flow.database.url
    with flow.database.read() as session:
        end = chain.last(session)
        event = session.get(AuditEvent, end.event_id) if end else None
        verified = search(session, Filters(kinds=("audit.verified",)), 1).events
    folder = flow.settings.audit.folder(flow.root)
    return State(
        length=end.seq if end else 0,
        last_event_at=event.at if event else None,
        anchors=str(folder or ""),
        anchor=_newest(flow),
        verified=verified[0] if verified else None,
        running=_running.get(url),
        trouble=_trouble.get(url, ""),
    )


def _newest(flow: Flow) -> Anchor | None:
    folder = flow.settings.audit.folder(flow.root)
    try:
        files = [AnchorFile(folder, each.path.stem) for each in readers(folder)] if folder else []
        anchors = [anchor for file in files if (anchor := file.last())]
    except OSError as error:
        log.warning("anchors cannot be read", error=str(error))
        return None
    return max(anchors, key=lambda anchor: anchor.seq, default=None)


def start(flow: Flow, person: Person) -> Running:
    """Begin to verify; returns at once. Raises Refused (conflict) while one runs on this node."""
    url = flow.database.url
    with flow.database.read() as session:
        total = chain.length(session)
    with _lock:
        if url in _running:
            raise Refused("the audit log is being verified already: wait for its result", "conflict")
        running = _running[url] = Running(person.name, total)
    threading.Thread(target=_run, args=(flow, person, running), name="verify", daemon=True).start()
    return running


def _run(flow: Flow, person: Person, running: Running) -> None:
    def progress(checked: int) -> None:
        running.checked = checked
        running.total = max(running.total, checked)

    url = flow.database.url
    _trouble.pop(url, None)
    try:
        verify_now(flow, person, progress)
    except Exception as error:  # the database may go away meanwhile: somebody waits for an answer
        _trouble[url] = f"{type(error).__name__}: {error}"
        log.error("the audit log could not be verified", error=_trouble[url])
    finally:
        with _lock:
            _running.pop(url, None)


def verify_now(flow: Flow, person: Person, progress: Callable[[int], None] = lambda checked: None) -> Verification:
    """Verify chain and anchors, and record the result. Raises OSError where anchors cannot be read."""
    began = time.monotonic()
    found = verify(flow.database, flow.settings.audit.folder(flow.root), progress)
    seconds = round(time.monotonic() - began, 1)
    with flow.database.write() as session:
        record(
            session,
            "audit.verified",
            words(found),
            node=flow.node,
            actor=person.name,
            outcome="failure" if not found.ok else "warning" if found.anchors.warnings else "success",
            detail={**document(found), "seconds": seconds, "via": person.via},
        )
    chain.seal(flow.database)
    return found


def words(found: Verification) -> str:
    """The result as a sentence."""
    if found.ok:
        noted = f", the anchors agree up to {found.anchors.agreed}" if found.anchors.agreed else ""
        if noted and (behind := found.checked - found.anchors.agreed):
            noted += f" (for the {behind} behind that one the database alone speaks)"
        return f"the audit log holds: {found.checked} events, {found.sealed} of them sealed just now{noted}"
    where = f"link {found.first_bad}"
    if found.until != found.first_bad:
        where = f"a link from {found.first_bad} to {found.until}"
    return f"the audit log was tampered with: {where}: {found.reason}"


def document(found: Verification) -> dict[str, Any]:
    """The result for programs. `first_bad` is the first position that may be bad, `until` the last that may be it."""
    return {
        "ok": found.ok,
        "first_bad": found.first_bad,
        "until": found.until,
        "sealed": found.sealed,
        "checked": found.checked,
        "reason": found.reason,
        "anchors": {**asdict(found.anchors), "warnings": list(found.anchors.warnings)},
    }
