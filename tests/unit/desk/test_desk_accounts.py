"""Accounts at the desk: rules of names and passwords, the last administrator, what an end ends; on both databases."""

import threading
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select
from support.webapp import account, headless, session_of

from dicomnode.db.database import Database, now
from dicomnode.db.models import Account, ApiToken, AuditEvent
from dicomnode.db.repositories import accounts as rows
from dicomnode.desk.accounts import accounts, sessions, tokens
from dicomnode.desk.person import Person
from dicomnode.desk.refused import Refused
from dicomnode.domain.roles import Permission, Role
from dicomnode.flow import Flow

SHELL = Person("root (command line)", (), "command line")
GOOD = "correct horse battery"


@pytest.fixture
def flow(database: Database, tmp_path: Path) -> Flow:
    return headless(tmp_path, database.url).flow


def kinds(flow: Flow, subject: str) -> list[str]:
    with flow.database.read() as session:
        query = select(AuditEvent.kind).where(AuditEvent.subject == subject).order_by(AuditEvent.id)
        return list(session.scalars(query))


def signed_in(flow: Flow, person: Account) -> Person:
    found = sessions.person_of(flow, session_of(flow, person))
    assert found is not None
    return found


def test_an_account_from_its_making_to_its_end(flow: Flow) -> None:
    anna = accounts.add(flow, SHELL, " Anna.Müller ", ["auditor", "admin"], GOOD, "Dr. Anna Müller")
    assert (anna.name, anna.roles) == ("Anna.Müller", ["admin", "auditor"])
    with pytest.raises(Refused, match="there is an account") as refusal:
        accounts.add(flow, SHELL, "ANNA.MÜLLER", ["viewer"], GOOD)
    assert refusal.value.kind == "conflict"
    bob = accounts.add(flow, SHELL, "bob", ["admin"], GOOD)
    secret, other = session_of(flow, anna), session_of(flow, anna)
    root = signed_in(flow, bob)
    accounts.set_roles(flow, root, anna.id, ["viewer"])
    person = sessions.person_of(flow, secret)
    assert person is not None
    assert person.roles == ("viewer",)
    accounts.disable(flow, root, anna.id)
    assert sessions.person_of(flow, secret) is None
    accounts.enable(flow, root, anna.id)
    assert sessions.person_of(flow, other) is None, "what ended stays ended"
    assert kinds(flow, "Anna.Müller") == [
        "account.added",
        "account.roles",
        "session.ended",
        "session.ended",
        "account.disabled",
        "account.enabled",
    ]


def test_the_last_administrator_stays(flow: Flow) -> None:
    only = account(flow, "admin")
    account(flow, "viewer")
    gone = account(flow, "admin", name="gone")
    accounts.disable(flow, SHELL, gone.id)
    with pytest.raises(Refused, match="last administrator"):
        accounts.disable(flow, SHELL, only.id)
    with pytest.raises(Refused, match="last administrator"):
        accounts.set_roles(flow, SHELL, only.id, ["operator"])
    accounts.enable(flow, SHELL, gone.id)
    accounts.disable(flow, SHELL, only.id)
    assert accounts.has_administrator(flow)


def test_two_administrators_cannot_shut_each_other_out_at_the_same_moment(flow: Flow) -> None:
    both = [account(flow, "admin", name=name) for name in ("one", "two")]
    start, refused = threading.Barrier(2), []

    def shut(other: Account) -> None:
        start.wait(60)
        try:
            accounts.disable(flow, SHELL, other.id)
        except Refused as refusal:
            refused.append(refusal)

    threads = [threading.Thread(target=shut, args=(each,)) for each in both]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(refused) == 1
    assert accounts.has_administrator(flow)


@pytest.mark.parametrize("name", ["", "a/b", "x" * 65, "anna (token x)", "Node", "nobody", "a  b", "line\nline", "<b>"])
def test_names_that_the_audit_log_could_not_tell_apart_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(Refused):
        accounts.add(headless(tmp_path).flow, SHELL, name, ["viewer"], GOOD)


@pytest.mark.parametrize(
    ("password", "words"),
    [
        ("short", "at least 12"),
        ("x" * 257, "at most 256"),
        ("abababababab", "too few"),
        ("administrator", "the name"),
        ("Administrator administrator", "the name"),
    ],
)
def test_passwords_that_are_none_are_refused(tmp_path: Path, password: str, words: str) -> None:
    with pytest.raises(Refused, match=words):
        accounts.add(headless(tmp_path).flow, SHELL, "administrator", ["viewer"], password)


@pytest.mark.parametrize("roles", [[], ["boss"], ["admin", ""]])
def test_roles_that_are_none_are_refused(tmp_path: Path, roles: list[str]) -> None:
    with pytest.raises(Refused, match="role"):
        accounts.add(headless(tmp_path).flow, SHELL, "anna", roles, GOOD)


def test_a_token_may_what_it_was_given_and_never_more_than_its_maker_still_may(flow: Flow) -> None:
    account(flow, "admin")
    maker = account(flow, "operator", "viewer", name="maker")
    person = signed_in(flow, maker)
    with pytest.raises(Refused, match="do not have the role admin"):
        tokens.make(flow, person, "too much", ["admin"], 1)
    _, secret = tokens.make(flow, person, "nightly", ["operator"], None)
    program = tokens.person_of(flow, secret)
    assert secret.startswith("dn_")
    assert program is not None
    assert (program.name, program.roles, program.via) == ("maker (token nightly)", ("operator",), "token")
    with pytest.raises(Refused, match="a token cannot"):
        tokens.make(flow, program, "offspring", ["operator"], 1)
    accounts.set_roles(flow, SHELL, maker.id, [Role.VIEWER])
    program = tokens.person_of(flow, secret)
    assert program is not None
    assert not program.may(Permission.SELF), "the role it has is not the maker's any more"
    accounts.disable(flow, SHELL, maker.id)
    assert tokens.person_of(flow, secret) is None


def test_a_token_ends_by_time_and_by_revoking(flow: Flow) -> None:
    person = signed_in(flow, account(flow, "viewer"))
    short, timely = tokens.make(flow, person, "short", ["viewer"], 1)
    leaked, revoked = tokens.make(flow, person, "leaked", ["viewer"], None)
    assert tokens.person_of(flow, timely) is not None
    with flow.database.write() as session:
        row = session.get_one(ApiToken, short.id)
        assert row.used_at is not None
        row.ends_at = now(session) - timedelta(seconds=1)
    assert tokens.person_of(flow, timely) is None
    assert person.account_id is not None
    with pytest.raises(Refused, match="no such token"):
        tokens.revoke(flow, SHELL, person.account_id + 1, leaked.id)
    tokens.revoke(flow, SHELL, person.account_id, leaked.id)
    assert tokens.person_of(flow, revoked) is None
    assert tokens.person_of(flow, "dn_" + "x" * 43) is None


def test_only_digests_of_secrets_are_stored(flow: Flow) -> None:
    person = account(flow, "viewer")
    secret = session_of(flow, person)
    row, token = tokens.make(flow, signed_in(flow, person), "t", ["viewer"], 1)
    with flow.database.read() as session:
        assert rows.session_with_account(session, secret) is None
        assert rows.token_with_account(session, token) is None
    assert token.removeprefix("dn_") not in repr(vars(row))
