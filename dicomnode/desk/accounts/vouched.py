"""People whom an OIDC provider vouches for: the sign-in that went there, and the account of who comes back.

The provider says who somebody is and in which groups; `web.oidc.roles` says which roles that is. It is asked anew with
every sign-in, so a group that is taken away there takes effect here with the next one, or when a session is ended.
"""

import secrets
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy.orm import Session

from dicomnode.audit.events import record
from dicomnode.db.database import now as database_now
from dicomnode.db.models import Account, SignInAttempt
from dicomnode.db.repositories import accounts as rows
from dicomnode.desk.accounts import secret as secrets_
from dicomnode.desk.accounts import sessions
from dicomnode.desk.accounts.accounts import enter
from dicomnode.desk.accounts.names import checked, folded
from dicomnode.desk.accounts.sessions import Visit
from dicomnode.desk.accounts.sign_in import NOBODY, NotLetIn
from dicomnode.desk.person import Person
from dicomnode.desk.refused import Refused
from dicomnode.domain.roles import Role
from dicomnode.flow import Flow

MINUTES = 10
"""In which somebody has to come back from the provider."""
MOST_UNDER_WAY = 10_000
PROVIDER = Person("the sign-in provider", ())


@dataclass(frozen=True)
class Attempt:
    """What the browser takes along (`state`), and what stays here until it comes back."""

    state: str
    nonce: str
    code_verifier: str
    return_to: str


@dataclass(frozen=True)
class Vouched:
    """Who came back, in the provider's words. `subject` is what never changes of a person at that `issuer`."""

    issuer: str
    subject: str
    name: str
    display_name: str = ""
    groups: tuple[str, ...] = ()


def send_away(flow: Flow, return_to: str) -> Attempt:
    """Note a sign-in that goes to the provider. Raises NotLetIn where too many are under way."""
    attempt = Attempt(secrets_.fresh(), secrets_.fresh(), secrets.token_urlsafe(48), return_to)
    with flow.database.write() as session:
        if rows.attempts_under_way(session) >= MOST_UNDER_WAY:
            raise NotLetIn("Too many sign-ins are under way. Try again in a few minutes.", MINUTES * 60.0)
        session.add(
            SignInAttempt(
                state_sha256=secrets_.sha256(attempt.state),
                nonce=attempt.nonce,
                code_verifier=attempt.code_verifier,
                return_to=return_to,
                ends_at=database_now(session) + timedelta(minutes=MINUTES),
            )
        )
    return attempt


def take_back(flow: Flow, state: str) -> Attempt:
    """The sign-in with this state, which counts once. Raises NotLetIn for none, and for one that took too long."""
    with flow.database.write() as session:
        row = rows.take_attempt(session, secrets_.sha256(state))
        now = database_now(session)
    if row is None or row.ends_at <= now:
        raise NotLetIn("This sign-in is over, or was not begun in this browser. Begin again.")
    return Attempt(state, row.nonce, row.code_verifier, row.return_to)


def sign_in(flow: Flow, vouched: Vouched, visit: Visit) -> str:
    """The secret of a new session. Raises NotLetIn."""
    roles = _roles_of(flow, vouched)
    with flow.database.write() as session:
        account = rows.vouched_for(session, vouched.issuer, vouched.subject)
        try:
            if account is None:
                account = _new(session, flow, vouched, roles)
            else:
                _renew(session, flow, account, vouched, roles)
            return _let_in(session, flow, account, visit)
        except NotLetIn as refusal:
            why = str(refusal)
            _tell_refusal(session, flow, account, vouched, visit, why)
    raise NotLetIn(why)


def _roles_of(flow: Flow, vouched: Vouched) -> list[str]:
    oidc = flow.settings.web.oidc
    mapped = oidc.roles if oidc else {}
    found = {role for group in vouched.groups for role in mapped.get(group, ())}
    return [role.value for role in Role if role in found]


def _new(session: Session, flow: Flow, vouched: Vouched, roles: list[str]) -> Account:
    if not roles:
        raise NotLetIn("You are known, but none of your groups may use this node. Ask its administrator.")
    try:
        name = checked(vouched.name)
    except Refused as refusal:
        raise NotLetIn(f"The sign-in provider calls you by a name that cannot be used here: {refusal}.") from refusal
    account = Account(
        name=name,
        folded_name=folded(name),
        display_name=_display_name(vouched),
        roles=roles,
        issuer=vouched.issuer,
        subject=vouched.subject,
        created_at=database_now(session),
    )
    try:
        enter(session, account)
    except Refused as refusal:
        raise NotLetIn(
            f"Another account is called {name}: whoever has it is somebody else to this node. Ask its administrator."
        ) from refusal
    _tell(session, flow, account, "added", f"made the account {name}", roles=roles, issuer=vouched.issuer)
    return account


def _renew(session: Session, flow: Flow, account: Account, vouched: Vouched, roles: list[str]) -> None:
    """What the provider says today. The name stays: the audit log knows the person by it."""
    account.display_name = _display_name(vouched)
    if account.roles != roles:
        before, account.roles = account.roles, roles
        words = f"gave {account.name} the roles {', '.join(roles) or 'none'}"
        _tell(session, flow, account, "roles", words, before=before, roles=roles)


def _let_in(session: Session, flow: Flow, account: Account, visit: Visit) -> str:
    if not account.roles:
        sessions.end_all(session, flow, PROVIDER, account)
        raise NotLetIn("You are known, but none of your groups may use this node. Ask its administrator.")
    if account.disabled_at is not None:
        raise NotLetIn("Your account is disabled. Ask the administrator of this node.")
    return sessions.begin(session, flow, account, visit, "provider")


def _display_name(vouched: Vouched) -> str:
    return "".join(each for each in vouched.display_name if each.isprintable())[:200]


def _tell(session: Session, flow: Flow, account: Account, what: str, words: str, **detail: object) -> None:
    message, who = f"{PROVIDER.name} {words}", PROVIDER.name
    record(session, f"account.{what}", message, node=flow.node, actor=who, subject=account.name, detail=detail)


def _tell_refusal(
    session: Session, flow: Flow, account: Account | None, vouched: Vouched, visit: Visit, why: str
) -> None:
    """Unlike what somebody types, what the provider calls a person is a name, and may be in the event."""
    name = vouched.name[:64] if vouched.name.isprintable() else ""
    record(
        session,
        "session.refused",
        f"{name or 'somebody'} was not let in, whom the sign-in provider vouches for",
        node=flow.node,
        actor=NOBODY,
        outcome="failure",
        subject=account.name if account else None,
        detail={"address": visit.address, "why": why, "by": "provider", "issuer": vouched.issuer, "name": name},
    )
