"""What sessions and tokens are worth when the account behind them is not what it was."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from argon2 import PasswordHasher
from sqlalchemy import select, update
from support.webapp import account, headless, session_of

from dicomnode.db.database import now
from dicomnode.db.models import Account, AuditEvent, WebSession
from dicomnode.desk.accounts import accounts, passwords, sessions, tokens
from dicomnode.desk.accounts.sessions import Visit
from dicomnode.desk.accounts.throttle import Throttle
from dicomnode.desk.person import Person
from dicomnode.desk.refused import Refused
from dicomnode.flow import Flow

SHELL = Person("root (command line)", (), "command line")
ISSUER = "https://sign-in.example"
PROVIDER: dict[str, Any] = {"issuer": ISSUER, "client_id": "dicomnode", "roles": {"all": "admin"}, "token_days": 7}


def node(folder: Path, oidc: dict[str, Any] | None = PROVIDER, **web: Any) -> Flow:
    return headless(folder, web={"public_url": "https://node.example", "oidc": oidc, **web}).flow


def vouched_for(flow: Flow, *roles: str) -> Account:
    """Somebody who has just come in by the provider."""
    made = account(flow, *roles, name="olga")
    with flow.database.write() as session:
        row = session.get_one(Account, made.id)
        row.issuer, row.subject, row.signed_in_at = ISSUER, "o1", now(session)
    return row


def person(flow: Flow, row: Account) -> Person:
    found = sessions.person_of(flow, session_of(flow, row))
    assert found is not None
    return found


def test_tokens_of_who_was_removed_at_the_provider_end(tmp_path: Path) -> None:
    """Only a sign-in says whether somebody still is in a group; a program goes on without one."""
    flow = node(tmp_path)
    olga = vouched_for(flow, "admin")
    _, secret = tokens.make(flow, person(flow, olga), "nightly", ["admin"], None)
    for days, lets_in in ((6.9, True), (7.1, False)):
        with flow.database.write() as session:
            session.execute(update(Account).values(signed_in_at=now(session) - timedelta(days=days)))
        assert (tokens.person_of(flow, secret) is not None) == lets_in
    local = account(flow, "admin", name="local")
    _, forever = tokens.make(flow, person(flow, local), "nightly", ["admin"], None)
    assert tokens.person_of(flow, forever) is not None, "a local account says itself what it is"


@pytest.mark.parametrize("oidc", [None, {**PROVIDER, "issuer": "https://elsewhere.example"}])
def test_a_provider_that_is_not_asked_any_more_vouches_for_nobody(tmp_path: Path, oidc: dict[str, Any] | None) -> None:
    before = node(tmp_path)
    olga = vouched_for(before, "admin")
    cookie = session_of(before, olga)
    _, secret = tokens.make(before, person(before, olga), "nightly", ["admin"], None)
    after = node(tmp_path, oidc)
    assert sessions.person_of(after, cookie) is None
    assert tokens.person_of(after, secret) is None
    assert not accounts.has_administrator(after)
    last = account(after, "admin", name="last")
    with pytest.raises(Refused, match="last administrator"):
        accounts.disable(after, SHELL, last.id)


@pytest.mark.parametrize("minutes", [1, 2, 30])
def test_who_asks_now_and_then_is_not_idle(tmp_path: Path, minutes: int) -> None:
    """However short the time is: requests are known to a minute at most, and a minute may be all there is."""
    flow = node(tmp_path, session_idle_minutes=minutes)
    cookie = session_of(flow, account(flow, "viewer"))
    for _ in range(3):
        with flow.database.write() as session:
            session.scalars(select(WebSession)).one().seen_at -= timedelta(minutes=0.6 * minutes)
        assert sessions.person_of(flow, cookie) is not None
    with flow.database.write() as session:
        session.execute(update(WebSession).values(seen_at=now(session) - timedelta(minutes=minutes)))
    assert sessions.person_of(flow, cookie) is None


def test_a_token_of_a_viewer_puts_nobody_out(tmp_path: Path) -> None:
    flow = node(tmp_path)
    anna = account(flow, "admin", "viewer", name="anna")
    me = person(flow, anna)
    kept, secret = tokens.make(flow, me, "display in the hall", ["viewer"], 1)
    found = tokens.person_of(flow, secret)
    assert found is not None
    for act in (
        lambda: sessions.end(flow, found, anna.id, me.session or ""),
        lambda: sessions.end_others(flow, found),
        lambda: tokens.revoke(flow, found, anna.id, kept.id),
    ):
        with pytest.raises(Refused, match="a token cannot"):
            act()
    assert len(sessions.listing(flow, anna.id)) == 1
    sessions.end(flow, replace(found, roles=("admin",)), anna.id, me.session or "")
    assert not sessions.listing(flow, anna.id), "one of an administrator may"


def test_guesses_at_the_present_password_are_in_the_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who finds an open session needs it to keep the account."""
    monkeypatch.setattr(passwords, "_HASHER", PasswordHasher(time_cost=1, memory_cost=64, parallelism=1))
    flow = node(tmp_path)
    anna = accounts.add(flow, SHELL, "anna", ["viewer"], "correct horse battery")
    with pytest.raises(Refused, match="present password"):
        accounts.change_own_password(
            flow, Throttle(3, 60), person(flow, anna), "guess", "quiet lantern harbour", Visit("10.0.0.9")
        )
    with flow.database.read() as session:
        event = session.scalars(select(AuditEvent).where(AuditEvent.kind == "account.password")).one()
    assert (event.outcome, event.subject, event.detail) == ("failure", "anna", {"address": "10.0.0.9"})
