"""Sign-in by password: one way for every refusal, the lock, the throttle, and sessions that end when they should."""

import secrets
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from argon2 import PasswordHasher, extract_parameters
from sqlalchemy import select
from support.webapp import account, headless, session_of

from dicomnode.db.database import now
from dicomnode.db.models import Account, AuditEvent, SignInAttempt, WebSession
from dicomnode.desk.accounts import accounts, passwords, sessions
from dicomnode.desk.accounts.sessions import Visit
from dicomnode.desk.accounts.sign_in import NotLetIn, sign_in
from dicomnode.desk.accounts.sweep import sweep
from dicomnode.desk.accounts.throttle import PLACES, Throttle
from dicomnode.desk.person import Person
from dicomnode.desk.refused import Refused
from dicomnode.flow import Flow

SHELL = Person("root (command line)", (), "command line")
GOOD = "correct horse battery"
HERE, THERE, ELSEWHERE = Visit("10.0.0.1", "Firefox"), Visit("10.0.0.2"), Visit("10.0.0.3")
FAILURES = 3
CHEAP = PasswordHasher(time_cost=1, memory_cost=64, parallelism=1)
"""For tests that sign in dozens of times; who wants the real one says so with `REAL`."""
REAL = PasswordHasher()


@pytest.fixture
def flow(tmp_path: Path) -> Flow:
    return headless(tmp_path, web={"lockout_failures": FAILURES, "session_idle_minutes": 30, "session_hours": 12}).flow


@pytest.fixture(autouse=True)
def cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passwords, "_HASHER", CHEAP)
    monkeypatch.setattr(passwords, "_nobodys", None)


@pytest.fixture
def anna(flow: Flow) -> Account:
    return accounts.add(flow, SHELL, "anna", ["admin"], GOOD)


def throttle() -> Throttle:
    return Throttle(FAILURES, 900.0)


def fails(flow: Flow, brake: Throttle, name: str, password: str, visit: Visit) -> str:
    with pytest.raises(NotLetIn) as refusal:
        sign_in(flow, brake, name, password, visit)
    return str(refusal.value)


def events(flow: Flow, kind: str) -> list[AuditEvent]:
    with flow.database.read() as session:
        return list(session.scalars(select(AuditEvent).where(AuditEvent.kind == kind).order_by(AuditEvent.id)))


def change(flow: Flow, what: type[Any], key: object, **values: object) -> None:
    with flow.database.write() as session:
        row = session.get_one(what, key)
        for name, value in values.items():
            setattr(row, name, value)


def test_every_sign_in_has_a_fresh_secret_and_its_event(flow: Flow, anna: Account) -> None:
    first, second = (sign_in(flow, throttle(), " Anna", GOOD, HERE) for _ in range(2))
    assert first != second
    person = sessions.person_of(flow, second)
    assert person is not None
    assert (person.name, person.roles, person.via, person.account_id) == ("anna", ("admin",), "session", anna.id)
    began = events(flow, "session.began")
    assert [(each.actor, each.detail["address"], each.detail["by"]) for each in began] == 2 * [
        ("anna", "10.0.0.1", "password")
    ]
    assert first not in repr([vars(each) for each in began])


def test_whatever_is_wrong_the_way_the_work_and_the_words_are_the_same(
    flow: Flow, anna: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Time tells no names: one verification with the same parameters each, for accounts that are not there too."""
    accounts.disable(flow, SHELL, accounts.add(flow, SHELL, "gone", ["viewer"], GOOD).id)
    account(flow, "viewer", name="by-provider")
    locked = accounts.add(flow, SHELL, "locked", ["viewer"], GOOD)
    with flow.database.write() as session:
        session.get_one(Account, locked.id).locked_until = now(session) + timedelta(minutes=5)
    verified: list[str] = []

    class Watched(PasswordHasher):
        def verify(self, hash: Any, password: Any) -> Any:
            verified.append(str(hash))
            return super().verify(hash, password)

    monkeypatch.setattr(passwords, "_HASHER", Watched(CHEAP.time_cost, CHEAP.memory_cost, CHEAP.parallelism))
    tries = [
        ("nobody-here", GOOD),
        ("anna", "wrong wrong wrong"),
        ("gone", GOOD),
        ("by-provider", ""),
        ("locked", GOOD),
    ]
    said = {fails(flow, throttle(), name, password, HERE) for name, password in tries}
    assert said == {"The name or the password is wrong, or the account takes no password now."}
    assert len(verified) == len(tries)
    assert all(extract_parameters(each) == extract_parameters(verified[0]) for each in verified)
    refused = events(flow, "session.refused")
    assert [each.detail["why"] for each in refused] == [
        "there is no such account",
        "the password is wrong",
        "the account is disabled",
        "the account has no password",
        "the account is locked",
    ]
    assert refused[0].subject is None
    assert "nobody-here" not in refused[0].message, "people type passwords where the name belongs"


def test_too_many_wrong_passwords_lock_the_account_for_a_while(flow: Flow, anna: Account) -> None:
    for number in range(FAILURES):
        fails(flow, throttle(), "anna", "wrong", Visit(f"10.1.0.{number}"))
    fails(flow, throttle(), "anna", GOOD, THERE)
    until = accounts.of_id(flow, anna.id).locked_until
    fails(flow, throttle(), "anna", "wrong", THERE)
    assert accounts.of_id(flow, anna.id).locked_until == until, "trying on makes it no longer"
    assert [(each.subject, each.actor) for each in events(flow, "account.locked")] == [("anna", "nobody")]
    with flow.database.write() as session:
        session.get_one(Account, anna.id).locked_until = now(session)
    assert sign_in(flow, throttle(), "anna", GOOD, THERE)


def test_a_lock_keeps_nobody_from_where_they_are_used_to_come(flow: Flow, anna: Account) -> None:
    sign_in(flow, throttle(), "anna", GOOD, HERE)
    for _ in range(FAILURES):
        fails(flow, throttle(), "anna", "wrong", THERE)
    fails(flow, throttle(), "anna", GOOD, ELSEWHERE)
    assert sign_in(flow, throttle(), "anna", GOOD, HERE)
    accounts.enable(flow, SHELL, anna.id)
    assert sign_in(flow, throttle(), "anna", GOOD, ELSEWHERE), "the command line takes the lock away"


def test_one_address_is_turned_away_before_it_has_locked_everybody(flow: Flow) -> None:
    everybody = [accounts.add(flow, SHELL, f"person{number}", ["viewer"], GOOD) for number in range(8)]
    brake = throttle()
    said = [fails(flow, brake, each.name, "wrong", HERE) for each in everybody for _ in range(FAILURES + 1)]
    assert sum(words.startswith("Too many") for words in said) > len(said) / 2
    locked = [each for each in everybody if accounts.of_id(flow, each.id).locked_until]
    assert 0 < len(locked) <= 4
    assert sign_in(flow, brake, "person7", GOOD, THERE), "others go on from where they are"


def test_the_throttle_forgets_with_time_and_counts_a_network_as_one() -> None:
    clock = [0.0]
    brake = Throttle(2, 60.0, lambda: clock[0])
    assert [brake.take("fd00::1", "a"), brake.take("fd00::2", "a")] == [0.0, 0.0]
    assert brake.take("fd00::3", "a") == 60.0
    assert brake.take("fd00:0:0:1::1", "a") == 0.0
    assert brake.take("fd00::3", "b") == 0.0
    clock[0] = 60.0
    assert brake.take("fd00::3", "a") == 0.0
    brake.give_back("fd00::3", "a")
    assert [brake.take("fd00::3", "a") for _ in range(2)] == [0.0, 0.0]
    for number in range(2 * PLACES):
        brake.take("10.0.0.1", str(number)), brake.take(f"host{number}", "x")
    assert len(brake._counts) <= PLACES


def test_who_is_turned_away_cannot_push_its_own_count_out() -> None:
    """Names are free: ten thousand of them, tried by an address that is turned away, would make room for it anew."""
    brake = Throttle(1, 60.0, lambda: 0.0)
    while brake.take("10.0.0.1", secrets.token_hex(4)) == 0.0:
        pass
    assert brake.take("10.0.0.2", "anna") == 0.0
    assert all(brake.take("10.0.0.1", f"name {number}") for number in range(PLACES + 10))
    assert brake.take("10.0.0.1", "one more") == 60.0
    assert brake.take("10.0.0.2", "anna") == 60.0, "nor anybody else's"


def test_an_address_that_is_turned_away_is_in_the_log_once(flow: Flow, anna: Account) -> None:
    """Whoever looks there sees that the guessing goes on; who guesses cannot fill the log."""
    brake = throttle()
    for _ in range(FAILURES + 20):
        fails(flow, brake, "anna", "wrong", HERE)
    fails(flow, brake, "anna", "wrong", THERE)
    whys = [event.detail["why"] for event in events(flow, "session.refused")]
    assert sorted(set(whys)) == ["the account is locked", "the password is wrong", "too many attempts"]
    assert whys.count("too many attempts") == 1


def test_a_hash_with_other_parameters_is_renewed_at_the_sign_in(
    flow: Flow, anna: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(passwords, "_HASHER", REAL)
    sign_in(flow, throttle(), "anna", GOOD, HERE)
    renewed = accounts.of_id(flow, anna.id).password_hash
    assert CHEAP.check_needs_rehash(renewed)
    assert not REAL.check_needs_rehash(renewed)
    assert sign_in(flow, throttle(), "anna", GOOD, HERE)


def test_a_new_password_ends_the_other_sessions(flow: Flow, anna: Account) -> None:
    mine, others = (sign_in(flow, throttle(), "anna", GOOD, HERE) for _ in range(2))
    person = sessions.person_of(flow, mine)
    assert person is not None
    with pytest.raises(Refused, match="another one"):
        accounts.change_own_password(flow, throttle(), person, "not it", "another good one", HERE)
    fresh = accounts.change_own_password(flow, throttle(), person, GOOD, "another good one", HERE)
    assert [sessions.person_of(flow, each) for each in (mine, others)] == [None, None]
    assert sessions.person_of(flow, fresh) is not None
    assert sign_in(flow, throttle(), "anna", "another good one", HERE)
    assert accounts.set_password(flow, SHELL, anna.id, "a third good one") == ""
    assert sessions.person_of(flow, fresh) is None
    brake = throttle()
    person = sessions.person_of(flow, sign_in(flow, brake, "anna", "a third good one", HERE))
    assert person is not None
    for _ in range(FAILURES):
        with pytest.raises(Refused, match="another one"):
            accounts.change_own_password(flow, brake, person, "guess", "another good one", HERE)
    with pytest.raises(Refused, match="too many"):
        accounts.change_own_password(flow, brake, person, "a third good one", "another good one", HERE)


ENDS: dict[str, Callable[[Any], dict[str, Any]]] = {
    "idle": lambda instant: {"seen_at": instant - timedelta(minutes=30)},
    "absolute": lambda instant: {"ends_at": instant, "seen_at": instant},
    "revoked": lambda instant: {"ended_at": instant},
}


@pytest.mark.parametrize("how", ENDS)
def test_a_session_is_over(flow: Flow, anna: Account, how: str) -> None:
    secret = session_of(flow, anna)
    person = sessions.person_of(flow, secret)
    assert person is not None
    with flow.database.read() as session:
        instant = now(session)
    change(flow, WebSession, person.session, **ENDS[how](instant))
    assert sessions.person_of(flow, secret) is None
    assert sessions.listing(flow, anna.id) == []


def test_an_idle_session_that_was_ended_does_not_come_back_with_another_setting(flow: Flow, anna: Account) -> None:
    secret = session_of(flow, anna)
    person = sessions.person_of(flow, secret)
    assert person is not None
    with flow.database.read() as session:
        before = now(session) - timedelta(minutes=31)
    change(flow, WebSession, person.session, seen_at=before)
    accounts.set_password(flow, SHELL, anna.id, "another good one")
    web = flow.settings.web.model_copy(update={"session_idle_minutes": 600})
    flow.settings = flow.settings.model_copy(update={"web": web})
    assert sessions.person_of(flow, secret) is None


def test_a_request_keeps_a_session_alive_and_a_page_by_itself_does_not(flow: Flow, anna: Account) -> None:
    secret = session_of(flow, anna)
    person = sessions.person_of(flow, secret)
    assert person is not None
    with flow.database.read() as session:
        before = now(session) - timedelta(minutes=29)
    change(flow, WebSession, person.session, seen_at=before)
    assert sessions.person_of(flow, secret, awake=False) is not None
    assert [row.seen_at for row in sessions.listing(flow, anna.id)] == [before]
    assert sessions.person_of(flow, secret) is not None
    assert [row.seen_at > before for row in sessions.listing(flow, anna.id)] == [True]


def test_one_session_is_ended_by_its_beginning_and_only_in_its_own_account(flow: Flow, anna: Account) -> None:
    secret, kept = session_of(flow, anna), session_of(flow, anna)
    person, other = sessions.person_of(flow, secret), account(flow, "viewer")
    assert person is not None
    assert person.session is not None
    for account_id, key in ((other.id, person.session), (anna.id, ""), (anna.id, "0" * 64)):
        with pytest.raises(Refused, match="no such session"):
            sessions.end(flow, SHELL, account_id, key)
    sessions.end(flow, SHELL, anna.id, person.session[:16])
    assert sessions.person_of(flow, secret) is None
    assert sessions.person_of(flow, kept) is not None


def test_what_is_long_over_is_swept_and_the_rest_stays(flow: Flow, anna: Account) -> None:
    old, over, open_ = (session_of(flow, anna) for _ in range(3))
    found = [sessions.person_of(flow, secret) for secret in (old, over)]
    with flow.database.write() as session:
        instant = now(session)
        for number, away in ((0, 31), (1, 29)):
            person = found[number]
            assert person is not None
            session.get_one(WebSession, person.session).ends_at = instant - timedelta(days=away)
        for state, minutes in (("gone", -1), ("waits", 5)):
            ends = instant + timedelta(minutes=minutes)
            session.add(SignInAttempt(state_sha256=state, nonce="", code_verifier="", return_to="/", ends_at=ends))
    sweep(flow)
    with flow.database.read() as session:
        assert len(list(session.scalars(select(WebSession)))) == 2
        assert list(session.scalars(select(SignInAttempt.state_sha256))) == ["waits"]
    assert sessions.person_of(flow, open_) is not None
