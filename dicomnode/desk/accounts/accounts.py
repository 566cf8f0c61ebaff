"""Accounts: who may come in, and as what."""

from collections.abc import Iterable, Sequence

from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from dicomnode.audit.events import record
from dicomnode.db.database import now as database_now
from dicomnode.db.models import Account
from dicomnode.db.repositories import accounts as rows
from dicomnode.desk.accounts import passwords, sessions
from dicomnode.desk.accounts.names import checked, folded
from dicomnode.desk.accounts.sessions import Visit
from dicomnode.desk.accounts.standing import in_person, stands
from dicomnode.desk.accounts.throttle import Throttle
from dicomnode.desk.person import Person
from dicomnode.desk.refused import Refused
from dicomnode.domain.roles import Role
from dicomnode.flow import Flow

LONGEST_DISPLAY_NAME = 200


def checked_roles(roles: Iterable[str]) -> list[str]:
    """These roles, each once, in the order of `Role`. Raises Refused for none and for what is no role."""
    wanted = set(roles)
    if unknown := wanted - set(Role):
        raise Refused(f"there is no role {', '.join(sorted(unknown))}; there are {', '.join(Role)}")
    if not wanted:
        raise Refused(f"an account has at least one role: {', '.join(Role)}")
    return [role.value for role in Role if role in wanted]


def add(flow: Flow, person: Person, name: str, roles: Iterable[str], password: str, display_name: str = "") -> Account:
    """A new account that comes in by its password. Raises Refused."""
    in_person(person, "change accounts")
    name, kept = checked(name), checked_roles(roles)
    display_name = display_name.strip()
    if len(display_name) > LONGEST_DISPLAY_NAME or not display_name.isprintable():
        raise Refused(f"a full name has at most {LONGEST_DISPLAY_NAME} printable characters")
    passwords.check(password, name)
    hashed = passwords.hashed(password)
    with flow.database.write() as session:
        account = Account(
            name=name,
            folded_name=folded(name),
            display_name=display_name,
            roles=kept,
            password_hash=hashed,
            created_at=database_now(session),
        )
        enter(session, account)
        _tell(session, flow, person, account, "added", f"made the account {name}", roles=kept)
    return account


def enter(session: Session, account: Account) -> None:
    """Insert the row. Raises Refused where the name is taken."""
    try:
        with session.begin_nested():
            session.add(account)
            session.flush()
    except IntegrityError:
        raise Refused(f"there is an account {account.name} already", "conflict") from None


def listing(flow: Flow, after: str = "", limit: int = 200) -> Sequence[Account]:
    """In the order of their names regardless of case, from behind `after` (a folded name)."""
    with flow.database.read() as session:
        return rows.listing(session, folded(after), limit)


def of_id(flow: Flow, account_id: int) -> Account:
    """Raises Refused for none."""
    with flow.database.read() as session:
        return _found(session.get(Account, account_id))


def named(flow: Flow, name: str) -> Account:
    """Raises Refused for none."""
    with flow.database.read() as session:
        return _found(rows.named(session, folded(name)), name)


def has_administrator(flow: Flow) -> bool:
    """Whether anybody can come in who may do everything."""
    with flow.database.read() as session:
        return any(Role.ADMIN in account.roles and stands(flow, account) for account in rows.enabled(session))


def why_not_open(flow: Flow) -> str:
    """Why the pages may not listen where the settings say, with the way out; empty: they may.

    Who comes first to an open door without a lock would be the administrator; so the first one is made at the machine.
    """
    web = flow.settings.web
    if not web.beyond_loopback or has_administrator(flow):
        return ""
    return (
        f"web.host is {web.host}, which other machines reach, and there is no administrator yet:"
        " make one with `dicomnode users add NAME --role admin`, or set web.host to 127.0.0.1"
    )


def is_locked(flow: Flow, account: Account) -> bool:
    """Whether the account takes no password for a while, after too many wrong ones."""
    with flow.database.read() as session:
        return account.locked_until is not None and account.locked_until > database_now(session)


def set_roles(flow: Flow, person: Person, account_id: int, roles: Iterable[str]) -> None:
    """From its next request on this person may what these roles permit. Raises Refused."""
    in_person(person, "change accounts")
    kept = checked_roles(roles)
    with flow.database.write() as session:
        account = _alone(session, flow, account_id, keeps_admin=Role.ADMIN in kept)
        if account.issuer is not None:
            raise Refused(f"the roles of {account.name} come from groups of the sign-in provider: change them there")
        if account.roles == kept:
            return
        before, account.roles = account.roles, kept
        words = f"gave {account.name} the roles {', '.join(kept)}"
        _tell(session, flow, person, account, "roles", words, before=before, roles=kept)


def disable(flow: Flow, person: Person, account_id: int) -> None:
    """End every session now; tokens that this person made are dead. Raises Refused for the last administrator."""
    in_person(person, "change accounts")
    with flow.database.write() as session:
        account = _alone(session, flow, account_id, keeps_admin=False)
        if account.disabled_at is not None:
            return
        account.disabled_at = database_now(session)
        sessions.end_all(session, flow, person, account)
        _tell(session, flow, person, account, "disabled", f"disabled {account.name}")


def enable(flow: Flow, person: Person, account_id: int) -> None:
    """Open the account again; a lock is gone as well. Raises Refused for no such account."""
    in_person(person, "change accounts")
    with flow.database.write() as session:
        account = _found(session.get(Account, account_id, with_for_update=True))
        if account.disabled_at is None and account.locked_until is None and not account.failures:
            return
        account.disabled_at = account.locked_until = None
        account.failures = 0
        _tell(session, flow, person, account, "enabled", f"enabled {account.name}")


def set_password(flow: Flow, person: Person, account_id: int, password: str) -> str:
    """Give somebody a new password: all their sessions end, and a lock is gone. Raises Refused.

    Who does so to the own account goes on with a new secret of the session, which is returned; else it is empty.
    """
    in_person(person, "change accounts")
    account = of_id(flow, account_id)
    if account.issuer is not None:
        raise Refused(f"{account.name} comes in by the sign-in provider and has no password here")
    passwords.check(password, account.name)
    return _store_password(flow, person, account_id, passwords.hashed(password))


def change_own_password(
    flow: Flow, throttle: Throttle, person: Person, current: str, password: str, visit: Visit
) -> str:
    """With the present one in hand. `person`'s other sessions end, and this one has the new secret that is returned:
    whoever knows the old password or has a copy of the cookie is out. Raises Refused.
    """
    in_person(person, "change a password")
    account = of_id(flow, person.account_id or 0)
    if not account.password_hash:
        raise Refused("you come in by the sign-in provider: your password is there")
    passwords.check(password, account.name)
    if throttle.take(visit.address, account.folded_name):
        raise Refused("too many attempts: try again later", "conflict")
    if not passwords.matches(account.password_hash, current):
        _tell_wrong_password(flow, person, account, visit)
        raise Refused("the present password is another one")
    throttle.give_back(visit.address, account.folded_name)
    return _store_password(flow, person, account.id, passwords.hashed(password))


def _store_password(flow: Flow, person: Person, account_id: int, password_hash: str) -> str:
    """The new secret of `person`'s own session, where that is one of this account; else empty."""
    with flow.database.write() as session:
        account = _found(session.get(Account, account_id, with_for_update=True))
        account.password_hash, account.failures, account.locked_until = password_hash, 0, None
        ended = sessions.end_all(session, flow, person, account, but=person.session)
        _tell(session, flow, person, account, "password", f"set a new password of {account.name}", sessions_ended=ended)
        return sessions.renew(session, person) if person.account_id == account_id else ""


def _alone(session: Session, flow: Flow, account_id: int, *, keeps_admin: bool) -> Account:
    """The account; all are locked, so that two administrators cannot shut each other out at the same moment."""
    everybody = rows.all_locked(session)
    account = _found(next((each for each in everybody if each.id == account_id), None))
    admins = [each for each in everybody if Role.ADMIN in each.roles and stands(flow, each)]
    if not keeps_admin and admins == [account]:
        raise Refused(f"{account.name} is the last administrator: make another one first", "conflict")
    return account


def _found(account: Account | None, name: str = "") -> Account:
    if account is None:
        raise Refused(f"there is no account {name}".strip(), "missing")
    return account


def _tell_wrong_password(flow: Flow, person: Person, account: Account, visit: Visit) -> None:
    """Who has come by somebody's open session guesses here, and nowhere else is that to be seen."""
    message = f"{person.name} did not know the present password"
    more = {"node": flow.node, "actor": person.name, "subject": account.name, "outcome": "failure"}
    with flow.database.write() as session:
        record(session, "account.password", message, **more, detail={"address": visit.address})


def _tell(
    session: Session, flow: Flow, person: Person, account: Account, what: str, words: str, **detail: object
) -> None:
    message, who = f"{person.name} {words}", person.name
    record(session, f"account.{what}", message, node=flow.node, actor=who, subject=account.name, detail=detail)
