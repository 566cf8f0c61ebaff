"""Sessions of browsers: a secret in a cookie, its SHA-256 in SQL.

A session is over when it was ended, after `web.session_idle_minutes` without a request, or `web.session_hours` after
it began. Nothing about the person is in the cookie, so an end is an end at the next request, on every node.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from dicomnode.audit.events import record
from dicomnode.db.database import now as database_now
from dicomnode.db.models import Account, WebSession
from dicomnode.db.repositories import accounts as rows
from dicomnode.desk.accounts import secret as secrets_
from dicomnode.desk.accounts.standing import in_charge, in_person, stands
from dicomnode.desk.patients import are_shown
from dicomnode.desk.person import Person
from dicomnode.desk.refused import Refused
from dicomnode.domain.roles import Permission, permitted
from dicomnode.flow import Flow

SEEN_EVERY = timedelta(minutes=1)
"""How exactly the last request is known at most; a write for each would be the busiest of the node."""


@dataclass(frozen=True)
class Visit:
    """Where somebody comes from: an address, and what their browser calls itself."""

    address: str
    browser: str = ""


def idle(flow: Flow) -> timedelta:
    """How long a session lasts without a request."""
    return timedelta(minutes=flow.settings.web.session_idle_minutes)


def person_of(flow: Flow, secret: str, *, awake: bool = True) -> Person | None:
    """Whose session it is; None where it is unknown or over, or the account is disabled.

    `awake`: whether somebody asks, rather than a page that keeps itself up to date, which keeps no session alive.
    """
    with flow.database.read() as session:
        found = rows.session_with_account(session, secrets_.sha256(secret))
    if found is None:
        return None
    row, account, now = found
    if not _lets_in(row, now, idle(flow)) or not stands(flow, account):
        return None
    if awake and now - row.seen_at >= min(SEEN_EVERY, idle(flow) / 10):
        _seen(flow, row.secret_sha256, now)
    roles = tuple(account.roles)
    shown = are_shown(flow, permitted=Permission.PATIENTS in permitted(roles), until=row.names_until, now=now)
    return Person(account.name, roles, "session", account.id, row.secret_sha256, shown)


def _lets_in(row: WebSession, now: datetime, longest_rest: timedelta) -> bool:
    return row.ended_at is None and row.ends_at > now and row.seen_at + longest_rest > now


def _seen(flow: Flow, secret_sha256: str, now: datetime) -> None:
    with flow.database.write() as session:
        row = session.get(WebSession, secret_sha256)
        if row is not None and row.seen_at < now:
            row.seen_at = now


def begin(session: Session, flow: Flow, account: Account, visit: Visit, how: str) -> str:
    """A new session with a new secret, which is returned and stored nowhere. Writes its event."""
    now = database_now(session)
    secret = secrets_.fresh()
    row = WebSession(
        secret_sha256=secrets_.sha256(secret),
        account_id=account.id,
        created_at=now,
        seen_at=now,
        ends_at=now + timedelta(hours=flow.settings.web.session_hours),
        peer=visit.address,
        browser=visit.browser[:200],
    )
    session.add(row)
    account.signed_in_at = now
    detail = {"address": visit.address, "browser": row.browser, "by": how, "session": row.secret_sha256[:12]}
    message = f"{account.name} signed in"
    record(session, "session.began", message, node=flow.node, actor=account.name, subject=account.name, detail=detail)
    return secret


def listing(flow: Flow, account_id: int) -> Sequence[WebSession]:
    """The sessions of an account that still let somebody in, the one used last first."""
    with flow.database.read() as session:
        now = database_now(session)
        return rows.sessions_of(session, account_id, now, now - idle(flow))


def everybodys(flow: Flow) -> Sequence[tuple[WebSession, str]]:
    """All that still let somebody in, each with the account's name."""
    with flow.database.read() as session:
        now = database_now(session)
        return rows.all_sessions(session, now, now - idle(flow))


def end(flow: Flow, person: Person, account_id: int, key: str) -> None:
    """End the session of an account whose secret's SHA-256, or the beginning of it, is `key`.

    Raises Refused where there is none, or the beginning fits several.
    """
    in_charge(person, "end sessions")
    with flow.database.write() as session:
        now = database_now(session)
        found = [row for row in rows.sessions_of(session, account_id, now, now - idle(flow)) if _fits(row, key)]
        if len(found) != 1:
            raise Refused("there is no such session any more", "missing")
        account = session.get_one(Account, account_id)
        _end(session, flow, person, account, found)


def _fits(row: WebSession, key: str) -> bool:
    return len(key) >= 12 and row.secret_sha256.startswith(key)


def renew(session: Session, person: Person) -> str:
    """Another secret for the session of `person`, which is returned: the one before lets nobody in. Empty for who has
    no session.
    """
    row = session.get(WebSession, person.session) if person.session else None
    if row is None:
        return ""
    secret = secrets_.fresh()
    row.secret_sha256 = secrets_.sha256(secret)
    return secret


def end_all(session: Session, flow: Flow, person: Person, account: Account, *, but: str | None = None) -> int:
    """End all sessions of an account, but the one with that key. Returns how many."""
    now = database_now(session)
    found = [each for each in rows.sessions_of(session, account.id, now) if each.secret_sha256 != but]
    _end(session, flow, person, account, found)
    return len(found)


def end_others(flow: Flow, person: Person) -> int:
    """End all sessions of `person` but the one that asks. Returns how many. Raises Refused for a token."""
    in_person(person, "end sessions")
    with flow.database.write() as session:
        account = session.get_one(Account, person.account_id)
        return end_all(session, flow, person, account, but=person.session)


def _end(session: Session, flow: Flow, person: Person, account: Account, found: Sequence[WebSession]) -> None:
    now = database_now(session)
    for row in found:
        row.ended_at = now
        own = person.session == row.secret_sha256
        message = f"{account.name} signed out" if own else f"{person.name} ended a session of {account.name}"
        detail = {"session": row.secret_sha256[:12], "address": row.peer}
        who = person.name
        record(session, "session.ended", message, node=flow.node, actor=who, subject=account.name, detail=detail)


def sign_out(flow: Flow, person: Person) -> None:
    """End the session that asks."""
    if person.session is not None and person.account_id is not None:
        end(flow, person, person.account_id, person.session)
