"""What receivers noted, applied to SQL: a row per association and commitment, an audit event per happening."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from dicomnode.audit.events import record
from dicomnode.db.repositories import associations
from dicomnode.store import commitment_events


def apply(session: Session, event: Mapping[str, Any], node: str) -> None:
    """Apply one noted event. One of a kind that this version does not know stays in its container, passed over."""
    handler = _HANDLERS.get(str(event.get("event")))
    if handler is not None:
        handler(session, event, datetime.fromisoformat(event["at"]), node)


def _opened(session: Session, event: Mapping[str, Any], at: datetime, node: str) -> None:
    who = {name: event[name] for name in ("calling_aet", "called_aet", "peer")}
    associations.opened(session, id=event["association"], node=node, at=at, **who)
    detail = who | {"tls": bool(event.get("tls"))}
    _record(session, "association.opened", f"{event['calling_aet']} opened an association", event, at, node, detail)


def _closed(session: Session, event: Mapping[str, Any], at: datetime, node: str) -> None:
    counts = {name: event[name] for name in ("received", "received_bytes", "refused")}
    associations.closed(session, event["association"], event["outcome"], counts, at)
    reason = str(event.get("reason", ""))
    message = f"{event['calling_aet']}: {event['outcome']} after {event['received']} instances"
    message += f": {reason}" if reason else ""
    detail = {"outcome": event["outcome"], "reason": reason, **counts}
    _record(session, "association.closed", message, event, at, node, detail)


def _rejected(session: Session, event: Mapping[str, Any], at: datetime, node: str) -> None:
    detail = {name: value for name, value in event.items() if name not in ("event", "at")}
    message = f"{event['calling_aet']} was turned away: {event['reason']}"
    kind = "association.alert" if event.get("alert") else "association.rejected"
    _record(session, kind, message, event, at, node, detail, "failure")


def _dropped(session: Session, event: Mapping[str, Any], at: datetime, node: str) -> None:
    detail = {name: event[name] for name in ("peer", "reason", "more_before")}
    message = f"{event['peer']} never opened an association: {event['reason']}"
    _record(session, "connection.dropped", message, event, at, node, detail, "failure")


def _refused(session: Session, event: Mapping[str, Any], at: datetime, node: str) -> None:
    detail = {name: value for name, value in event.items() if name not in ("event", "at", "association")}
    message = f"answered {event['status']}: {event['reason']}"
    _record(session, "instance.refused", message, event, at, node, detail, "failure")


def _declined(session: Session, event: Mapping[str, Any], at: datetime, node: str) -> None:
    detail = {name: value for name, value in event.items() if name not in ("event", "at", "association")}
    message = f"{event['service']} was answered {event['status']}: {event['reason']}"
    _record(session, "service.refused", message, event, at, node, detail, "failure")


def _availability(session: Session, event: Mapping[str, Any], at: datetime, node: str) -> None:
    detail = {name: len(event[name]) for name in ("available", "unavailable")} | {"source": event["sop_instance_uid"]}
    told = f"{detail['available']} instances of a study can be had, and {detail['unavailable']} no longer"
    message = f"{event['calling_aet']} notifies that {told}"
    _record(session, "availability.noted", message, event, at, node, detail)


def _record(
    session: Session,
    kind: str,
    message: str,
    event: Mapping[str, Any],
    at: datetime,
    node: str,
    detail: Mapping[str, Any],
    outcome: str = "success",
) -> None:
    subject = f"association:{event['association']}" if "association" in event else None
    record(session, kind, message, node=node, at=at, subject=subject, detail=detail, outcome=outcome)


_HANDLERS: Mapping[str, Callable[[Session, Mapping[str, Any], datetime, str], None]] = {
    "association-opened": _opened,
    "association-closed": _closed,
    "association-rejected": _rejected,
    "connection-dropped": _dropped,
    "instance-refused": _refused,
    "service-refused": _declined,
    "availability": _availability,
    "commitment-request": commitment_events.requested,
    "commitment-report": commitment_events.reported,
}
