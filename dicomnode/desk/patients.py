"""What a person sees of patients: nothing until asked for, and every look at it in the audit log."""

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.orm import Session

from dicomnode.audit.events import record
from dicomnode.db.database import now as database_now
from dicomnode.db.models import WebSession
from dicomnode.db.repositories import looks
from dicomnode.desk.person import Person
from dicomnode.desk.refused import Refused
from dicomnode.domain.roles import Permission
from dicomnode.flow import Flow

HIDDEN = "••••"
"""In place of what is hidden; of one length, so that it tells nothing of what it stands for."""

SAME_LOOK = timedelta(minutes=10)
"""A page that keeps itself up to date is one look at it, not one every few seconds."""


def are_shown(flow: Flow, *, permitted: bool, until: datetime | None, now: datetime) -> bool:
    """Whether names are shown in a session: to who may see them, by the setting at once, else while asked for."""
    return permitted and (not flow.settings.web.hide_patient_names or (until is not None and until > now))


def sees(person: Person) -> bool:
    """Whether this person sees names and identifiers now."""
    return person.via == "command line" or (person.names_shown and person.may(Permission.PATIENTS))


def shown_name(person: Person, name: str) -> str:
    """A person name (PS3.5 6.2.1) for reading, masked unless `person` sees it; empty stays empty."""
    return readable_name(name) if sees(person) else HIDDEN if name else ""


def shown_id(person: Person, text: str) -> str:
    """An identifier (patient ID, accession number) or another word about a patient, masked as names are."""
    return text if sees(person) else HIDDEN if text else ""


def masked(person: Person, text: str, *known: str) -> str:
    """`text` that may quote a patient, such as why a rule did not match, without what is known of that patient."""
    if sees(person):
        return text
    for words in sorted({*known, *(group for each in known for group in each.split("="))}, key=len, reverse=True):
        if words.strip():
            text = re.sub(rf"(?<!\w){re.escape(words)}(?!\w)", HIDDEN, text)
    return text


def with_names(person: Person) -> Person:
    """The same person for one request that asks for names in so many words, as programs do."""
    if not person.may(Permission.PATIENTS):
        raise Refused("names and identifiers of patients need the permission patients")
    return replace(person, names_shown=True)


def readable_name(name: str) -> str:
    """`Yamada^Tarou=山田^太郎=やまだ^たろう` as `Yamada, Tarou (山田 太郎, やまだ たろう)`.

    The alphabetic group comes first, as family, prefix given middle, suffix; the others as they are spoken.
    """
    alphabetic, *others = name.split("=")
    groups = [_alphabetic(alphabetic), *(" ".join(group.replace("^", " ").split()) for group in others)]
    first, *more = [group for group in groups if group] or [""]
    return f"{first} ({', '.join(more)})" if more else first


def _alphabetic(group: str) -> str:
    family, given, middle, prefix, suffix = (*(part.strip() for part in group.split("^")), *[""] * 5)[:5]
    called = " ".join(part for part in (prefix, given, middle) if part)
    return ", ".join(part for part in (family, called, suffix) if part)


def show_names(flow: Flow, person: Person) -> None:
    """Show patients' names in this session for `web.reveal_minutes`. Raises Refused for who has no session."""
    minutes = flow.settings.web.reveal_minutes
    if not person.may(Permission.PATIENTS):
        raise Refused("names and identifiers of patients need the permission patients")
    with flow.database.write() as session:
        row = _session_of(session, person)
        row.names_until = database_now(session) + timedelta(minutes=minutes)
        message = f"{person.name} has patients' names shown for {minutes} minutes"
        record(session, "patient.names_shown", message, node=flow.node, actor=person.name, detail={"minutes": minutes})


def hide_names(flow: Flow, person: Person) -> None:
    """Hide them again, now. Raises Refused for who has no session."""
    with flow.database.write() as session:
        row = _session_of(session, person)
        if row.names_until is not None:
            row.names_until = None
            message = f"{person.name} has patients' names hidden again"
            record(session, "patient.names_hidden", message, node=flow.node, actor=person.name)


def _session_of(session: Session, person: Person) -> WebSession:
    row = session.get(WebSession, person.session) if person.session else None
    if row is None:
        raise Refused("only a browser's session shows and hides names; a program asks for them with names=true")
    return row


def viewed(
    flow: Flow,
    person: Person,
    what: str,
    *,
    kind: str = "patient.viewed",
    study_uid: str | None = None,
    series_uid: str | None = None,
    filters: Mapping[str, Any] | None = None,
    shown: int | None = None,
) -> None:
    """Record that `person` looked at patient data: `what` ("the series list"), of which series or study, or by which
    filters and how many. An equal look within `SAME_LOOK` is the same one. Call it outside of a transaction.
    """
    asked = {name: str(value) for name, value in (filters or {}).items() if value not in ("", None, False)}
    if _is_known(flow, person, kind, what, (study_uid, series_uid), asked):
        return
    detail = {**({"filters": asked} if asked else {}), **({} if shown is None else {"shown": shown}), "via": person.via}
    with flow.database.write() as session:
        record(
            session,
            kind,
            f"{person.name} looked at {what}",
            node=flow.node,
            actor=person.name,
            study_uid=study_uid,
            series_uid=series_uid,
            subject=what,
            detail=detail,
        )


def _is_known(
    flow: Flow, person: Person, kind: str, what: str, of: tuple[str | None, str | None], asked: Mapping[str, str]
) -> bool:
    with flow.database.read() as session:
        before = looks.recent(session, person.name, kind, what, database_now(session) - SAME_LOOK)
    return any((row.study_uid, row.series_uid) == of and row.detail.get("filters", {}) == asked for row in before)
