"""Tokens: how programs come in. Each belongs to the person who made it, and never may more than that person still may.

A token is shown once; SQL has its SHA-256. One that leaks is worth what its roles permit until somebody revokes it:
it cannot make further tokens, nor change any account, so nothing of it is left after that.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from dicomnode.audit.events import record
from dicomnode.db.database import now as database_now
from dicomnode.db.models import Account, ApiToken
from dicomnode.db.repositories import accounts as rows
from dicomnode.desk.accounts import secret as secrets_
from dicomnode.desk.accounts.accounts import checked_roles
from dicomnode.desk.accounts.sessions import SEEN_EVERY
from dicomnode.desk.accounts.standing import in_charge, in_person, lends
from dicomnode.desk.person import Person
from dicomnode.desk.refused import Refused
from dicomnode.flow import Flow

LONGEST_NAME = 64


def make(flow: Flow, person: Person, name: str, roles: Iterable[str], days: int | None) -> tuple[ApiToken, str]:
    """A token with these of the person's own roles, over after `days`, or never; and its secret. Raises Refused."""
    in_person(person, "make tokens")
    name, kept = name.strip(), checked_roles(roles)
    if not name or len(name) > LONGEST_NAME or not name.isprintable():
        raise Refused(f"say in at most {LONGEST_NAME} characters what the token is for")
    if days is not None and not 1 <= days <= 3650:
        raise Refused("a token is over after 1 to 3650 days, or never")
    secret = secrets_.TOKEN + secrets_.fresh()
    with flow.database.write() as session:
        account = session.get(Account, person.account_id)
        if account is None:
            raise Refused("a token belongs to an account: sign in to make one", "conflict")
        if lacking := [role for role in kept if role not in account.roles]:
            raise Refused(f"you do not have the role {', '.join(lacking)} yourself")
        now = database_now(session)
        row = ApiToken(
            name=name,
            secret_sha256=secrets_.sha256(secret),
            account_id=account.id,
            roles=kept,
            created_at=now,
            ends_at=None if days is None else now + timedelta(days=days),
        )
        session.add(row)
        session.flush()
        detail = {"token": row.id, "roles": kept, "days": days}
        message = f"{person.name} made the token {name}"
        who = person.name
        record(session, "token.made", message, node=flow.node, actor=who, subject=account.name, detail=detail)
    return row, secret


def person_of(flow: Flow, secret: str) -> Person | None:
    """Who comes in by this token; None where it is unknown, over or revoked, or its maker does not lend it any more."""
    with flow.database.read() as session:
        found = rows.token_with_account(session, secrets_.sha256(secret))
        now = database_now(session)
    if found is None:
        return None
    row, account = found
    if row.revoked_at is not None or (row.ends_at is not None and row.ends_at <= now):
        return None
    if not lends(flow, account, now):
        return None
    if row.used_at is None or now - row.used_at >= SEEN_EVERY:
        _used(flow, row.id, now)
    roles = tuple(role for role in row.roles if role in account.roles)
    return Person(rows.token_actor(account.name, row.name), roles, "token", account.id)


def _used(flow: Flow, token_id: int, now: datetime) -> None:
    with flow.database.write() as session:
        session.get_one(ApiToken, token_id).used_at = now


def listing(flow: Flow, account_id: int) -> Sequence[ApiToken]:
    """The tokens of an account, the newest first, revoked ones too."""
    with flow.database.read() as session:
        return rows.tokens_of(session, account_id)


def revoke(flow: Flow, person: Person, account_id: int, token_id: int) -> None:
    """From now on it lets nobody in. Raises Refused where the account has no such token."""
    in_charge(person, "revoke tokens")
    with flow.database.write() as session:
        row = session.get(ApiToken, token_id, with_for_update=True)
        if row is None or row.account_id != account_id:
            raise Refused("there is no such token", "missing")
        if row.revoked_at is not None:
            return
        row.revoked_at = database_now(session)
        owner = session.get_one(Account, account_id).name
        message = f"{person.name} revoked the token {row.name} of {owner}"
        detail = {"token": row.id}
        record(session, "token.revoked", message, node=flow.node, actor=person.name, subject=owner, detail=detail)
