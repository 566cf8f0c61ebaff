"""Audit events: recorded in the transaction of the change they tell of, so neither exists without the other."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import insert
from sqlalchemy.orm import Session

from dicomnode.db.models import AuditEvent
from dicomnode.domain.storable import storable

KINDS: Mapping[str, str] = {
    "node.started": "the node began to listen",
    "node.stopped": "the node was told to stop and drained",
    "node.taken_over": "a node fell silent; another looks after what it left",
    "node.returned": "a node that had been taken for dead gives signs of life",
    "node.clock": "the clock was set back: what waited for a time too far ahead is due sooner",
    "receiver.died": "a receiving process ended without being asked; detail says how, and what it had open",
    "association.opened": "a peer opened an association",
    "association.closed": "an association ended; detail counts what it brought",
    "association.rejected": "a peer was turned away; detail says with which reason",
    "association.alert": "a peer was turned away that used a title which, by its rule, is another's",
    "connection.dropped": "one that never became an association; at most one in ten seconds for each address",
    "instance.refused": "a C-STORE was answered with a failure status",
    "service.refused": "a request of a normalized service was answered with a failure status",
    "instance.variant": "known pixels came in another encoding; kept beside the first",
    "instance.correction": "a known instance came with changed demographics",
    "instance.conflict": "a known UID came with other content; the first is kept, the second quarantined",
    "instance.damaged": "stored bytes no longer match their receipt",
    "instance.missing": "stored bytes are no longer where the index says they are",
    "instance.returned": "an instance whose bytes were gone is stored again; detail says why they were gone",
    "series.complete": "a generation of a series is complete; detail says by which evidence",
    "series.put_off": "it is due, but completing it fails; the others go on, and it is tried again ever more seldom",
    "series.late": "an instance came after completion",
    "series.returned": "a purged series comes again and is stored again",
    "series.rejected": "a rejection note, or a notification that it is gone, names instances of it; detail says whose",
    "series.purged": "retention gave up the bytes of a series; its rows stay",
    "series.kept": "an operator told retention to leave a series alone",
    "series.released": "an operator left a series to retention again, its conflicts included",
    "series.exported": "a series was written to files",
    "series.told_complete": "somebody said that a series is complete, without waiting for evidence",
    "series.run": "somebody had a pipeline run on a series by hand; detail says which, and where it goes",
    "store.set_aside": "a stored member cannot be indexed: its bytes stay, the others go on, the doctor shows it",
    "store.taken_in": "a member that had been set aside is in the index",
    "store.written_off": "a member that had been set aside is gone with its container: the doctor waits for it no more",
    "store.repaired": "the doctor repaired what disk and index disagreed on; detail counts it",
    "rule.decided": "what the rules decided for a generation, and why",
    "enhancement.created": "work was entered into the ledger",
    "enhancement.claimed": "a worker took it",
    "enhancement.given_back": "the worker could not go on, which was not the work's fault; detail says how far it was",
    "enhancement.attempt_failed": "an attempt failed; it will be tried again",
    "enhancement.done": "outputs are committed",
    "enhancement.withheld": "a guard vetoed: originals only",
    "enhancement.failed": "set aside after the last attempt: originals only",
    "enhancement.expired": "the deadline passed: originals only",
    "enhancement.cancelled": "an operator cancelled it, or its source was contradicted or rejected",
    "enhancement.retried": "an operator asked for a retry",
    "enhancement.rerouted": "an operator had other work done instead; detail says which",
    "enhancement.outdated": "its source was corrected, contradicted or rejected, or what was derived was rejected",
    "enhancing.stopped": "an operator threw the stop switch: originals alone flow",
    "enhancing.started": "an operator let enhancing go on",
    "jobs.paused": "an operator let nothing more be claimed, of one pipeline or of all; what runs goes on",
    "jobs.resumed": "an operator let jobs be claimed again",
    "drift.alarm": "what a scanner sends has left its usual noise or grain",
    "rejection.noted": "a rejection note of an outdated derived series goes to those that have it",
    "delivery.created": "something is to be sent to a destination",
    "delivery.sent": "the destination answered for every instance",
    "delivery.retry": "a transient failure; tried again later",
    "delivery.failed": "dead letter, with the reason",
    "delivery.committed": "the destination reported storage commitment for every instance",
    "delivery.verified": "the destination named every instance when it was asked by C-FIND",
    "delivery.returned": "the destination does not keep instances that it took: they are sent again",
    "delivery.unconfirmed": "nobody knows whether the destination keeps it, and it is not asked any more; why",
    "delivery.asked_again": "an operator has the destination asked anew whether it keeps what it took",
    "delivery.requeued": "an operator requeued it",
    "delivery.cancelled": "an operator cancelled it, or it is outdated; the instance on the wire was the last",
    "delivery.rerouted": "an operator sends what was not sent yet to another destination",
    "delivery.taken_over": "its node was silent for longer than its lease: another one goes on",
    "destination.down": "it cannot be reached, or is out of resources; one attempt at a time until it answers",
    "destination.stopped": "it refuses this node for good: people have to change something; asked again now and then",
    "destination.up": "it answers again",
    "destination.paused": "an operator lets nothing be sent to it",
    "destination.resumed": "an operator lets it be sent to again",
    "destination.asked": "somebody had the node ask it in the browser, by C-ECHO or what it takes",
    "availability.noted": "an Instance Availability Notification came",
    "commitment.requested": "a modality asked this node to keep instances for good",
    "commitment.heard": "a report came of what somebody keeps, asked for or not",
    "commitment.judged": "every instance that a modality asked to be kept is kept for good, or known not to be",
    "commitment.reported": "a modality was told what became of its storage commitment",
    "commitment.abandoned": "a modality could not be told; an operator can report again",
    "commitment.reopened": "a modality or an operator asked for an answer once more",
    "site.exported": "the destinations and rules in force were written out; detail has the revision",
    "site.imported": "a file's destinations and rules are in force as a new revision",
    "site.published": "the draft is in force as a new revision; detail says what changed and which replay was seen",
    "site.rolled_back": "an earlier revision is in force again, as a new one",
    "draft.saved": "somebody changed the draft of the next revision; detail says what",
    "draft.discarded": "somebody threw the draft away",
    "replay.started": "a document is tried on the series of the past",
    "replay.finished": "a replay ended: done, stopped or failed; detail has its counts",
    "patient.names_shown": "somebody had patients' names shown in their session",
    "patient.names_hidden": "somebody had them hidden again before their time was over",
    "patient.viewed": "somebody saw names or identifiers of patients, or looked for them; detail says by which filters",
    "image.viewed": "somebody looked at the pictures of a series",
    "account.added": "an account was made; detail says with which roles",
    "account.roles": "an account has other roles; detail says which it had",
    "account.disabled": "an account was shut; its sessions ended and its tokens are dead",
    "account.enabled": "an account was opened again, and is not locked any more",
    "account.password": "an account has a new password; its other sessions ended",
    "account.locked": "too many wrong passwords in a row: for a while the account takes none",
    "session.began": "somebody signed in; detail says from where and how",
    "session.refused": "somebody was not let in; detail says from where and why",
    "session.ended": "somebody signed out, or a session was ended by somebody",
    "token.made": "somebody made a token for a program; detail says what it may",
    "token.revoked": "a token does not let anybody in any more",
    "audit.viewed": "somebody searched the audit log; detail has the filters",
    "audit.verified": "the chain and its anchors were checked; detail has the result",
    "audit.exported": "the audit log was exported; detail has the filters and the count",
    "audit.contradicted": "the chain is not what an anchor noted of it: verify the log",
    "settings.changed": "the node started with other settings than the last time; detail names them",
    "model.imported": "weights were put beside the shipped ones",
}
"""Every kind of event, in words. `record` refuses others, so the list stays complete."""


Event = dict[str, Any]
"""One event as columns; made by `event`."""

_TABLE = AuditEvent.metadata.tables[AuditEvent.__tablename__]
_INSERT = insert(_TABLE).returning(_TABLE.c.id)
"""Asked for their ids, several rows go out as one statement; without, PostgreSQL's driver waits two times more."""


def event(
    kind: str,
    message: str,
    *,
    node: str,
    actor: str = "node",
    outcome: str = "success",
    study_uid: str | None = None,
    series_uid: str | None = None,
    subject: str | None = None,
    detail: Mapping[str, Any] | None = None,
    at: datetime | None = None,
) -> Event:
    """An event that is not recorded yet, its texts such as every database holds.

    Raises KeyError for a kind that KINDS does not name.
    """
    KINDS[kind]
    texts = {
        "node": node,
        "actor": actor,
        "kind": kind,
        "outcome": outcome,
        "study_uid": study_uid,
        "series_uid": series_uid,
        "subject": subject,
        "message": message,
        "detail": detail or {},
    }
    return {"at": at or datetime.now(UTC), **storable(texts)}


def record(session: Session, kind: str, message: str, *, node: str, **more: Any) -> None:
    """Add one event to the session's transaction; `more` as `event` takes it. It is written with the next flush."""
    session.add(AuditEvent(**event(kind, message, node=node, **more)))


def write(session: Session, *events: Event) -> None:
    """Write events now, in one statement: for who writes hundreds of transactions a second."""
    session.connection().execute(_INSERT, events)
