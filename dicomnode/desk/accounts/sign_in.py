"""Sign-in by name and password.

Two brakes against guessing, since each alone can be turned against people:

- The **lock** of an account: after `web.lockout_failures` wrong passwords in a row it takes none for
  `web.lockout_minutes`. By itself it would let anybody keep an administrator out for ever, by guessing wrong every
  quarter of an hour. So it does not hold for addresses from which that person has signed in before (as far as rows of
  sessions go back, `sweep.KEPT`), and `dicomnode users enable` takes it away.
- The **throttle** of an address: as many failures for one name, four times as many for all names, in the same time.
  It comes first, so one address cannot lock more than a few accounts, and it is what bounds guessing from an address
  that the lock does not hold for.

An unknown name, an account without a password, a wrong password, a lock and a disabled account take the same way, the
same work and the same answer.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from dicomnode.audit.events import record
from dicomnode.db.database import now as database_now
from dicomnode.db.models import Account
from dicomnode.db.repositories import accounts as rows
from dicomnode.desk.accounts import passwords, sessions
from dicomnode.desk.accounts.names import folded
from dicomnode.desk.accounts.sessions import Visit
from dicomnode.desk.accounts.throttle import Throttle
from dicomnode.flow import Flow

NOBODY = "nobody"
"""Whom the audit log names where somebody was not let in."""


class NotLetIn(Exception):
    """The message is what the person is told; `wait` how many seconds an address is to wait, 0 for no time."""

    def __init__(self, message: str, wait: float = 0.0) -> None:
        super().__init__(message)
        self.wait = wait


@dataclass(frozen=True)
class _Tried:
    matches: bool
    password_hash: str
    """The one that was tried."""
    renewed: str
    """A hash with today's parameters, where that one has others."""


def sign_in(flow: Flow, throttle: Throttle, name: str, password: str, visit: Visit) -> str:
    """The secret of a new session. Raises NotLetIn."""
    key = folded(name)
    if wait := throttle.take(visit.address, key):
        if throttle.is_news(visit.address):
            _turn_away(flow, visit)
        raise NotLetIn(f"Too many attempts. Try again in {_minutes(wait)}.", wait)
    with flow.database.read() as session:
        account = rows.named(session, key)
    tried = _try(account.password_hash if account else "", password)
    with flow.database.write() as session:
        account = rows.named(session, key, lock=True)
        why = _why_not(session, flow, account, tried, visit)
        secret = "" if why or account is None else _let_in(session, flow, account, tried, visit)
        if why:
            _refuse(session, flow, account, why, visit)
    if why:
        raise NotLetIn("The name or the password is wrong, or the account takes no password now.")
    throttle.give_back(visit.address, key)
    return secret


def _try(password_hash: str, password: str) -> _Tried:
    matches = passwords.matches(password_hash, password)
    outdated = matches and passwords.is_outdated(password_hash)
    return _Tried(matches, password_hash, passwords.hashed(password) if outdated else "")


def _why_not(session: Session, flow: Flow, account: Account | None, tried: _Tried, visit: Visit) -> str:
    """Why this person does not come in; empty: they do. Read with the account's row locked, so none is quicker."""
    if account is None:
        return "there is no such account"
    if account.disabled_at is not None:
        return "the account is disabled"
    now = database_now(session)
    if _is_locked(account, now) and not rows.came_from(session, account.id, visit.address):
        return "the account is locked"
    if not tried.matches or account.password_hash != tried.password_hash:
        _count(session, flow, account, now, visit)
        return "the password is wrong" if tried.password_hash else "the account has no password"
    return ""


def _is_locked(account: Account, now: datetime) -> bool:
    return account.locked_until is not None and account.locked_until > now


def _count(session: Session, flow: Flow, account: Account, now: datetime, visit: Visit) -> None:
    """One failure more, and the lock if it was one too many. While it is locked nothing makes that longer."""
    web = flow.settings.web
    if _is_locked(account, now):
        return
    account.failures += 1
    if account.failures < web.lockout_failures:
        return
    account.failures, account.locked_until = 0, now + timedelta(minutes=web.lockout_minutes)
    message = f"{account.name} is locked for {web.lockout_minutes} minutes: {web.lockout_failures} wrong passwords"
    detail = {"address": visit.address, "until": account.locked_until.isoformat()}
    record(session, "account.locked", message, node=flow.node, actor=NOBODY, subject=account.name, detail=detail)


def _let_in(session: Session, flow: Flow, account: Account, tried: _Tried, visit: Visit) -> str:
    account.failures = 0
    if tried.renewed:
        account.password_hash = tried.renewed
    return sessions.begin(session, flow, account, visit, "password")


def _refuse(session: Session, flow: Flow, account: Account | None, why: str, visit: Visit) -> None:
    """The event. An unknown name is left out of it: people type passwords there."""
    name = account.name if account else None
    message = f"{name or 'somebody unknown'} was not let in: {why}"
    detail = {"address": visit.address, "why": why, "by": "password"}
    refused = "failure"
    record(
        session, "session.refused", message, node=flow.node, actor=NOBODY, outcome=refused, subject=name, detail=detail
    )


def _turn_away(flow: Flow, visit: Visit) -> None:
    """One event for all that an address tries while it is turned away: trying costs nothing, so it may cost no rows."""
    detail = {"address": visit.address, "why": "too many attempts", "by": "password"}
    message = f"{visit.address} is turned away for a while: too many attempts to sign in"
    with flow.database.write() as session:
        record(session, "session.refused", message, node=flow.node, actor=NOBODY, outcome="failure", detail=detail)


def _minutes(seconds: float) -> str:
    minutes = max(1, round(seconds / 60))
    return "a minute" if minutes == 1 else f"{minutes} minutes"
