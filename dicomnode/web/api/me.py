"""One's own account, and its tokens."""

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, Field

from dicomnode.desk.accounts import accounts, sessions, tokens
from dicomnode.web.access import cookies
from dicomnode.web.access.gate import May
from dicomnode.web.access.identify import visit_of
from dicomnode.web.access.keys import TokenId
from dicomnode.web.access.sign_ins import TheThrottle
from dicomnode.web.api.account_items import NewTokenItem, SessionItem, TokenItem
from dicomnode.web.running import TheFlow

router = APIRouter(prefix="/api/v1", tags=["me"])


class MeItem(BaseModel):
    """Who asks, and what they may."""

    name: str
    roles: list[str]
    via: str = Field(description="`session` or `token`.")
    names_shown: bool


class PasswordChange(BaseModel):
    """From the present password to a new one."""

    current: str = Field(max_length=1000)
    new: str = Field(max_length=1000)


class NewToken(BaseModel):
    """What a token is for, and what it may."""

    name: str = Field(max_length=200)
    roles: list[str] = Field(max_length=10, description="Of your own.")
    days: int | None = Field(90, ge=1, le=3650, description="Null: never over.")


class Ended(BaseModel):
    """How many sessions ended."""

    ended: int


@router.get("/me", summary="Who asks")
def me(person: May) -> MeItem:
    """Of a token: its own name and roles."""
    return MeItem(name=person.name, roles=list(person.roles), via=person.via, names_shown=person.names_shown)


@router.post("/me/password", summary="Change one's own password", status_code=204)
def change_password(
    request: Request, response: Response, flow: TheFlow, throttle: TheThrottle, person: May, change: PasswordChange
) -> None:
    """Other sessions end, and this one goes on with a new cookie. A token cannot do this."""
    secret = accounts.change_own_password(flow, throttle, person, change.current, change.new, visit_of(request))
    cookies.put(request, response, cookies.SESSION, secret)


@router.get("/me/sessions", summary="Where one is signed in")
def my_sessions(flow: TheFlow, person: May) -> list[SessionItem]:
    """The one used last first; they are few."""
    return [SessionItem.of(row) for row in sessions.listing(flow, person.account_id or 0)]


@router.delete("/me/sessions", summary="Sign out everywhere else")
def end_my_other_sessions(flow: TheFlow, person: May) -> Ended:
    """The session that asks goes on. A token cannot do this."""
    return Ended(ended=sessions.end_others(flow, person))


@router.delete("/me/sessions/{key}", summary="Sign out somewhere", status_code=204)
def end_my_session(key: str, flow: TheFlow, person: May) -> None:
    """`key` is the session's `id`."""
    sessions.end(flow, person, person.account_id or 0, key)


@router.get("/tokens", summary="One's own tokens")
def my_tokens(flow: TheFlow, person: May) -> list[TokenItem]:
    """The newest first, revoked ones too."""
    return [TokenItem.of(row) for row in tokens.listing(flow, person.account_id or 0)]


@router.post("/tokens", summary="Make a token", status_code=201)
def make_token(flow: TheFlow, person: May, new: NewToken) -> NewTokenItem:
    """Its secret is in this answer and nowhere else. A token cannot do this."""
    row, secret = tokens.make(flow, person, new.name, new.roles, new.days)
    return NewTokenItem(**TokenItem.of(row).model_dump(), token=secret)


@router.delete("/tokens/{token_id}", summary="Revoke a token", status_code=204)
def revoke_token(token_id: TokenId, flow: TheFlow, person: May) -> None:
    """It lets nobody in from now on."""
    tokens.revoke(flow, person, person.account_id or 0, token_id)
