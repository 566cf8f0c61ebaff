"""Asking what a document would have done to the series of the past, and what came of it."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from dicomnode.audit.events import record
from dicomnode.db.database import now as database_now
from dicomnode.db.models import Replay, ReplayChange
from dicomnode.db.repositories import replays
from dicomnode.db.repositories import site as site_rows
from dicomnode.desk.person import Person
from dicomnode.desk.refused import Refused
from dicomnode.desk.rules.draft import read_draft
from dicomnode.desk.rules.validation import digest_of
from dicomnode.domain.site import Site
from dicomnode.flow import Flow

DAYS = 30
"""How far back a replay goes unless it is told."""
MOST_DAYS = 3660


def start_replay(
    flow: Flow,
    person: Person,
    site: Site | None = None,
    *,
    days: float = DAYS,
    since: datetime | None = None,
    inline: bool = False,
) -> int:
    """Have a site tried on all series that were completed in the last `days`, or since then; without one, the draft.

    It is compared with the revision in force. The node begins within a second; with `inline` the caller runs it
    (`replaying.running.run_replay`). Returns its id. Raises Refused for a period that is none.
    """
    site = read_draft(flow).site if site is None else site
    if not 0 < days <= MOST_DAYS:
        raise Refused(f"a replay goes back by more than 0 and at most {MOST_DAYS} days")
    with flow.database.write() as session:
        now = database_now(session)
        if since is not None and since >= now:
            raise Refused("a replay looks at the past: its beginning lies ahead")
        row = Replay(
            digest=digest_of(site),
            base=site_rows.newest_number(session),
            document=site.to_document(),
            since=since or now - timedelta(days=days),
            until=now,
            state="running",
            author=person.name,
            node=inline_name(flow) if inline else flow.node,
            started_at=now,
        )
        session.add(row)
        session.flush()
        detail = {"digest": row.digest, "base": row.base, "since": row.since.isoformat()}
        about, subject = f"the series since {row.since:%Y-%m-%d %H:%M} UTC", f"replay:{row.id}"
        sentence = f"replay {row.id} of a document on {about}"
        record(session, "replay.started", sentence, node=flow.node, actor=person.name, subject=subject, detail=detail)
        return row.id


def stop_replay(flow: Flow, person: Person, replay_id: int) -> Replay:
    """End a replay; what it found until now stays. Raises Refused: `missing`, or `conflict` where it is over."""
    with flow.database.write() as session:
        row = _find(session, replay_id)
        if not replays.end(session, replay_id, "stopped", database_now(session), reason=f"by {person.name}"):
            raise Refused(f"replay {replay_id} is over: {row.state}", "conflict")
        note_end(flow, session, row, "stopped", person.name)
        session.refresh(row)
        return row


def read_replay(flow: Flow, replay_id: int) -> Replay:
    """One replay: state, progress, and its result (`replaying.findings`) once it is done. Raises Refused, `missing`."""
    with flow.database.read() as session:
        return _find(session, replay_id)


def replay_of_draft(flow: Flow) -> Replay | None:
    """The newest replay of the draft as it stands, against the revision in force."""
    draft = read_draft(flow)
    with flow.database.read() as session:
        return replays.of_document(session, draft.digest, draft.in_force)


def list_replays(flow: Flow, before: int | None = None, limit: int = 50) -> Sequence[Replay]:
    """The newest, or those before an id; the newest first."""
    with flow.database.read() as session:
        return replays.listing(session, before, limit)


def replay_changes(
    flow: Flow, replay_id: int, *, rule: str = "", kind: str = "", after: int = 0, limit: int = 50
) -> Sequence[ReplayChange]:
    """What a replay found, series by series, behind the row `after`. Raises Refused, `missing`."""
    with flow.database.read() as session:
        _find(session, replay_id)
        return replays.changes(session, replay_id, rule=rule, kind=kind, after=after, limit=limit)


def inline_name(flow: Flow) -> str:
    """Whose replays the node leaves alone: a command runs them itself."""
    return f"{flow.node} (command line)"


def note_end(flow: Flow, session: Session, row: Replay, state: str, actor: str, message: str = "") -> None:
    """Tell of the end of a replay."""
    detail = {"state": state, "digest": row.digest, "base": row.base, "series": row.done, "changed": row.changed}
    outcome = "success" if state == "done" else "warning"
    record(
        session,
        "replay.finished",
        f"replay {row.id}: {message or state}",
        node=flow.node,
        actor=actor,
        outcome=outcome,
        subject=f"replay:{row.id}",
        detail=detail,
    )


def _find(session: Session, replay_id: int) -> Replay:
    row = replays.find(session, replay_id)
    if row is None:
        raise Refused(f"there is no replay {replay_id}", "missing")
    return row
