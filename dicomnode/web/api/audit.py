"""The audit log."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query
from fastapi.responses import StreamingResponse
from pydantic import BaseModel

from dicomnode.audit.events import KINDS
from dicomnode.desk.audit import exporting, searching, verifying
from dicomnode.desk.audit.asked import Asked
from dicomnode.desk.audit.exporting import Export, Format
from dicomnode.desk.audit.searching import Entry, key_of
from dicomnode.desk.person import Person
from dicomnode.domain.roles import Permission
from dicomnode.web.access.gate import allow
from dicomnode.web.access.names_asked import Names, seeing
from dicomnode.web.paging import LIMIT, Cursor, Limit, Page, decode, encode
from dicomnode.web.running import TheFlow

router = APIRouter(prefix="/api/v1/audit", tags=["audit"])

Reader = Annotated[Person, allow(Permission.AUDIT)]
Exporter = Annotated[Person, allow(Permission.AUDIT_EXPORT)]
EventId = Annotated[int, Path(ge=1, le=2**63 - 1)]


def _text(about: str) -> Any:
    return Query(max_length=200, description=about)


def asked(
    since: Annotated[str, _text("A day (2026-01-31), or an instant in ISO 8601.")] = "",
    until: Annotated[str, _text("A day, which is included, or an instant, which is not.")] = "",
    kind: Annotated[str, _text("A kind of event, or a group such as `delivery`.")] = "",
    actor: Annotated[str, _text("Who did it, by tokens as well; `node` for what nobody asked for.")] = "",
    outcome: Annotated[str, _text("success, warning or failure.")] = "",
    series: Annotated[str, _text("Series Instance UID.")] = "",
    study: Annotated[str, _text("Study Instance UID.")] = "",
    subject: Annotated[str, _text("What it is about: `delivery:12`, `destination:pacs`.")] = "",
) -> Asked:
    """The filters of a query string; empty ones are none."""
    return Asked(since, until, kind.strip(), actor.strip(), outcome, series.strip(), study.strip(), subject.strip())


TheFilters = Annotated[Asked, Depends(asked)]


class EventItem(BaseModel):
    """One event. `seq` and `hash` are its place in the chain; null for a moment, until it is sealed.

    `masked`: what it quotes of patients (words of a search, values that rules saw) is hidden; `hash` is of the event as
    it was sealed.
    """

    id: int
    at: datetime
    node: str
    actor: str
    kind: str
    outcome: str
    study_uid: str | None
    series_uid: str | None
    subject: str | None
    message: str
    detail: dict[str, Any]
    masked: bool
    seq: int | None
    hash: str | None

    @classmethod
    def of(cls, entry: Entry, person: Person) -> "EventItem":
        return cls(**entry.document(person))


class Progress(BaseModel):
    """A verification under way on this node."""

    by: str
    started_at: datetime
    checked: int
    total: int


class AnchorItem(BaseModel):
    """The newest anchor that this node can read."""

    node: str
    at: str
    seq: int
    hash: str


class LastVerification(BaseModel):
    """The last result, of whatever node. `detail` as `audit verify --json` prints it."""

    at: datetime
    by: str
    ok: bool
    message: str
    detail: dict[str, Any]


class ChainState(BaseModel):
    """The chain as it is known without verifying it."""

    length: int
    last_event_at: datetime | None
    anchor: AnchorItem | None
    verified: LastVerification | None
    running: Progress | None
    trouble: str


def _chain(state: verifying.State) -> ChainState:
    anchor, last, running = state.anchor, state.verified, state.running
    return ChainState(
        length=state.length,
        last_event_at=state.last_event_at,
        anchor=AnchorItem(node=anchor.node, at=anchor.at, seq=anchor.seq, hash=anchor.hash) if anchor else None,
        verified=LastVerification(
            at=last.at, by=last.actor, ok=bool(last.detail.get("ok")), message=last.message, detail=last.detail
        )
        if last
        else None,
        running=_progress(running) if running else None,
        trouble=state.trouble,
    )


def _progress(running: verifying.Running) -> Progress:
    return Progress(by=running.by, started_at=running.started_at, checked=running.checked, total=running.total)


@router.get("", summary="Events, the newest first")
def listing(
    flow: TheFlow,
    person: Reader,
    filters: TheFilters,
    names: Names = False,
    limit: Limit = LIMIT,
    cursor: Cursor = "",
) -> Page[EventItem]:
    """A page may be short, or empty, with a `next`: so much was looked at, and there may be more behind it."""
    person = seeing(person, names)
    key = decode(cursor, str, int)
    found = searching.search(flow, person, filters, limit, key_of(*key) if key else None)
    further = encode((found.next[0].isoformat(), found.next[1])) if found.next else None
    return Page(items=[EventItem.of(entry, person) for entry in found.entries], next=further)


@router.get("/kinds", summary="Every kind of event, and what it says")
def kinds(person: Reader) -> Mapping[str, str]:
    """What `kind` filters by; the part before the dot is its group."""
    return KINDS


@router.get("/verification", summary="The chain's length, its last anchor and its last verification")
def state(flow: TheFlow, person: Reader) -> ChainState:
    """What `POST` started shows here as `running`, then as `verified`."""
    return _chain(verifying.state(flow))


@router.post("/verification", summary="Verify the chain and its anchors", status_code=202)
def verify(flow: TheFlow, person: Reader) -> Progress:
    """In the background, which takes minutes for millions of events; 409 while this node does so already."""
    return _progress(verifying.start(flow, person))


@router.get("/export", summary="What passes the filters, oldest first, as a file", response_class=StreamingResponse)
def export(
    flow: TheFlow, person: Exporter, filters: TheFilters, names: Names = False, format: Format = Format.JSON
) -> StreamingResponse:
    """With the seals. The export is itself an event, with the filters and the count."""
    return download(exporting.export(flow, seeing(person, names), filters, format), format)


def download(found: Export, format: Format) -> StreamingResponse:
    """An export as a file, sent while it is read."""
    kind = "text/csv; charset=utf-8" if format is Format.CSV else "application/json"
    headers = {
        "Content-Disposition": f'attachment; filename="audit.{format}"',
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": "no-store",
    }
    return StreamingResponse(_bytes(found.text), media_type=kind, headers=headers)


def _bytes(text: Iterator[str]) -> Iterator[bytes]:
    """Pieces of a size that is worth a trip through the event loop."""
    gathered: list[str] = []
    size = 0
    for piece in text:
        gathered.append(piece)
        size += len(piece)
        if size > 1 << 16:
            yield "".join(gathered).encode()
            gathered, size = [], 0
    yield "".join(gathered).encode()


@router.get("/{event_id}", summary="One event")
def one(flow: TheFlow, person: Reader, event_id: EventId, names: Names = False) -> EventItem:
    """404 where there is none."""
    person = seeing(person, names)
    return EventItem.of(searching.one(flow, person, event_id), person)
