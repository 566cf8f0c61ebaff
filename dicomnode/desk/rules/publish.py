"""The three ways in which a document comes in force: the draft is published, a file imported, a revision restored."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy.orm import Session

from dicomnode.db.models import Replay
from dicomnode.db.repositories import replays
from dicomnode.desk.person import Person
from dicomnode.desk.refused import Refused
from dicomnode.desk.rules.draft import Draft, follow, locked_draft, read_draft
from dicomnode.desk.rules.force import InForce, in_force, put_in_force
from dicomnode.desk.rules.restored import restored
from dicomnode.desk.rules.validation import validated
from dicomnode.flow import Flow

_ENDED = {"stopped": "was stopped", "failed": "failed"}


def publish(flow: Flow, person: Person, version: int, comment: str) -> InForce:
    """Put the draft in force. Its replay against the revision in force was seen before, and is kept with the revision.

    Raises Refused: `conflict` for another version, a draft that changes nothing, a stale one (`rebase` it), one whose
    replay is missing or not of exactly this, and a removed destination with open deliveries; `invalid` where the
    pipelines of today do not fit what it changes.
    """
    with flow.database.write() as session:
        draft = locked_draft(flow, session, version)
        number, before = in_force(session)
        if why := _unready(draft, number):
            raise Refused(why, "conflict")
        site = validated(flow, draft.document(), known=[before])
        replay = replays.done_for(session, draft.digest, number)
        if replay is None:
            raise Refused(missing_replay(session, draft), "conflict")
        done = put_in_force(flow, session, person, before, site, "publish", comment, replay_id=replay.id)
        follow(session, person, draft, done.number, site)
    return done


def rollback(flow: Flow, person: Person, number: int, comment: str) -> InForce:
    """Put the document of an earlier revision in force again, as a new one. No replay is asked for: it has acted.

    A destination that it does not have, and to which deliveries are not finished, is kept beside it, and the comment
    says so. Raises Refused: `missing` for no such revision, `conflict` if it would change nothing, `invalid` where it
    asks for what this version does not know.
    """
    with flow.database.write() as session:
        current, before = in_force(session)
        if number < 1:
            raise Refused(f"there is no revision {number}", "missing")
        found = restored(session, number, before)
        if found.site == before:
            beside = f"; {found.note}" if found.note else ""
            raise Refused(f"revision {current} is in force and says what revision {number} says{beside}", "conflict")
        site = validated(flow, found.site.to_document(), known=[found.document, before])
        comment = "; ".join(part for part in (comment, found.note) if part)
        return put_in_force(flow, session, person, before, site, "rollback", comment, restored=found)


def import_site(flow: Flow, person: Person, document: Mapping[str, Any] | str, comment: str) -> InForce:
    """Put a file in force at once: how a node is set up, and restored.

    Raises Refused: `invalid`, with every finding; `conflict` if it takes away a destination with open deliveries.
    """
    with flow.database.write() as session:
        _, before = in_force(session)
        site = validated(flow, document, known=[before])
        return put_in_force(flow, session, person, before, site, "import", comment)


def why_not_yet(flow: Flow) -> str:
    """What keeps the draft as it stands from being published; empty if nothing that can be known ahead does."""
    draft = read_draft(flow)
    if why := _unready(draft, draft.in_force):
        return why
    with flow.database.read() as session:
        if replays.done_for(session, draft.digest, draft.in_force) is not None:
            return ""
        return missing_replay(session, draft)


def missing_replay(session: Session, draft: Draft) -> str:
    """What is lacking for a draft that was not tried, in words that say what to do."""
    of_this = replays.of_document(session, draft.digest, draft.in_force)
    if of_this is not None:
        return _unfinished(of_this)
    other = replays.of_document(session, draft.digest)
    if other is not None:
        return (
            f"replay {other.id} compared this draft with revision {other.base}; {draft.in_force} is in force now: "
            "replay it again"
        )
    return "nobody has tried this draft as it stands: replay it first"


def _unready(draft: Draft, number: int) -> str:
    if not draft.touched:
        return "the draft changes nothing of the revision in force"
    if draft.base != number:
        return (
            f"revision {number} came in force while the draft was written from revision {draft.base}: "
            "bring both together (rebase), then replay"
        )
    return ""


def _unfinished(replay: Replay) -> str:
    if replay.state == "running":
        progress = f": {replay.done} of {replay.total} series" if replay.total else ""
        return f"replay {replay.id} of this draft still runs{progress}"
    reason = f" ({replay.reason})" if replay.reason else ""
    return f"replay {replay.id} of this draft {_ENDED[replay.state]}{reason}: start another"
