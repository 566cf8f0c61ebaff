"""Accounts, sessions and tokens: every query of them."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from dicomnode.db.clock import Clock
from dicomnode.db.models import Account, ApiToken, SignInAttempt, WebSession


def named(session: Session, folded_name: str, *, lock: bool = False) -> Account | None:
    query = select(Account).where(Account.folded_name == folded_name)
    return session.scalar(query.with_for_update() if lock else query)


def vouched_for(session: Session, issuer: str, subject: str) -> Account | None:
    query = select(Account).where(Account.issuer == issuer, Account.subject == subject)
    return session.scalar(query.with_for_update())


def listing(session: Session, after: str, limit: int) -> Sequence[Account]:
    """In the order of their folded names, from behind `after`."""
    query = select(Account).where(Account.folded_name > after).order_by(Account.folded_name)
    return session.scalars(query.limit(limit)).all()


def all_locked(session: Session) -> Sequence[Account]:
    """Every account, locked until the end of the transaction: for changes that depend on who else there is."""
    return session.scalars(select(Account).order_by(Account.id).with_for_update()).all()


def enabled(session: Session) -> Sequence[Account]:
    return session.scalars(select(Account).where(Account.disabled_at.is_(None))).all()


def session_with_account(session: Session, secret_sha256: str) -> tuple[WebSession, Account, datetime] | None:
    """The session, whose it is, and the database's time: in one statement, for every request asks."""
    query = select(WebSession, Account, Clock()).join(Account, Account.id == WebSession.account_id)
    row = session.execute(query.where(WebSession.secret_sha256 == secret_sha256)).one_or_none()
    return None if row is None else (row[0], row[1], row[2])


def token_with_account(session: Session, secret_sha256: str) -> tuple[ApiToken, Account] | None:
    query = select(ApiToken, Account).join(Account, Account.id == ApiToken.account_id)
    row = session.execute(query.where(ApiToken.secret_sha256 == secret_sha256)).one_or_none()
    return None if row is None else (row[0], row[1])


def sessions_of(
    session: Session, account_id: int, now: datetime, idle_since: datetime | None = None
) -> Sequence[WebSession]:
    """Those that still let somebody in, the one used last first. Without `idle_since` idle ones too: a longer time in
    the settings would let them in again.
    """
    query = select(WebSession).where(WebSession.account_id == account_id, WebSession.ended_at.is_(None))
    query = query.where(WebSession.ends_at > now)
    if idle_since is not None:
        query = query.where(WebSession.seen_at > idle_since)
    return session.scalars(query.order_by(WebSession.seen_at.desc(), WebSession.secret_sha256)).all()


def all_sessions(session: Session, now: datetime, idle_since: datetime) -> Sequence[tuple[WebSession, str]]:
    """Those of everybody that still let somebody in, with the name of each one's account."""
    query = select(WebSession, Account.name).join(Account, Account.id == WebSession.account_id)
    query = query.where(WebSession.ended_at.is_(None), WebSession.ends_at > now, WebSession.seen_at > idle_since)
    return [(row[0], row[1]) for row in session.execute(query.order_by(Account.name, WebSession.seen_at.desc()))]


def came_from(session: Session, account_id: int, peer: str) -> bool:
    """Whether this account has signed in from that address, as far as its sessions' rows go back."""
    query = select(WebSession.secret_sha256).where(WebSession.account_id == account_id, WebSession.peer == peer)
    return session.scalar(query.limit(1)) is not None


def tokens_of(session: Session, account_id: int) -> Sequence[ApiToken]:
    """The newest first, revoked ones too."""
    return session.scalars(select(ApiToken).where(ApiToken.account_id == account_id).order_by(ApiToken.id.desc())).all()


def token_actor(account: str, token: str) -> str:
    """What the audit log calls a program that comes in by a token of this name."""
    return f"{account} (token {token})"


def token_actors(session: Session, account: str) -> tuple[str, ...]:
    """What the audit log calls the programs of the account of exactly this name, those of revoked tokens too."""
    query = select(ApiToken.name).join(Account, Account.id == ApiToken.account_id).where(Account.name == account)
    return tuple(token_actor(account, token) for token in session.scalars(query.distinct().order_by(ApiToken.name)))


def attempts_under_way(session: Session) -> int:
    return session.scalar(select(func.count()).select_from(SignInAttempt)) or 0


def take_attempt(session: Session, state_sha256: str) -> SignInAttempt | None:
    """The attempt, which is gone with that: nobody comes back twice with the same one."""
    found = session.scalars(
        delete(SignInAttempt).where(SignInAttempt.state_sha256 == state_sha256).returning(SignInAttempt)
    )
    return found.one_or_none()


def sweep(session: Session, now: datetime, over_before: datetime) -> int:
    """Delete attempts that are over, and sessions that ended before `over_before`. Returns how many."""
    attempts = delete(SignInAttempt).where(SignInAttempt.ends_at <= now).returning(SignInAttempt.state_sha256)
    ended = delete(WebSession).where(WebSession.ends_at <= over_before).returning(WebSession.secret_sha256)
    return len(session.scalars(attempts).all()) + len(session.scalars(ended).all())
