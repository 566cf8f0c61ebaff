"""What an account is worth now, to the sessions and tokens that were made in its name."""

from datetime import datetime, timedelta

from dicomnode.db.models import Account
from dicomnode.desk.person import Person
from dicomnode.desk.refused import Refused
from dicomnode.domain.roles import Permission
from dicomnode.flow import Flow


def stands(flow: Flow, account: Account) -> bool:
    """Whether it lets anybody in: not disabled, and if a provider vouches for it, the one that the settings name."""
    oidc = flow.settings.web.oidc
    is_ours = account.issuer is None or (oidc is not None and account.issuer == oidc.issuer)
    return account.disabled_at is None and is_ours


def lends(flow: Flow, account: Account, now: datetime) -> bool:
    """Whether its tokens let programs in. A provider says at a sign-in alone who somebody still is there; who was
    removed never signs in again, and what was lent to programs ends `web.oidc.token_days` after the last time.
    """
    oidc = flow.settings.web.oidc
    if not stands(flow, account):
        return False
    if account.issuer is None or oidc is None:
        return True
    return account.signed_in_at is not None and account.signed_in_at + timedelta(days=oidc.token_days) > now


def in_person(person: Person, what: str) -> None:
    """Raises Refused for a token: who finds one must not make more of it than it is."""
    if person.via == "token":
        raise Refused(f"a token cannot {what}: sign in", "conflict")


def in_charge(person: Person, what: str) -> None:
    """Raises Refused for a token, unless putting people out is what it may do: a lost one of a viewer must not sign
    the administrator out who made it.
    """
    if not person.may(Permission.USERS_CHANGE):
        in_person(person, what)
