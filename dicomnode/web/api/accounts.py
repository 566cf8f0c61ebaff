"""Accounts of everybody. A token looks; changing them takes a person who is signed in."""

from typing import Annotated

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, Field

from dicomnode.desk.accounts import accounts, sessions, tokens
from dicomnode.desk.person import Person
from dicomnode.domain.roles import Permission
from dicomnode.web.access import cookies
from dicomnode.web.access.gate import allow
from dicomnode.web.access.keys import AccountId, TokenId
from dicomnode.web.api.account_items import AccountItem, SessionItem, TokenItem
from dicomnode.web.paging import LIMIT, Cursor, Limit, Page, decode, page_of
from dicomnode.web.running import TheFlow

router = APIRouter(prefix="/api/v1/users", tags=["users"])

Looker = Annotated[Person, allow(Permission.USERS)]
Changer = Annotated[Person, allow(Permission.USERS_CHANGE)]


class NewAccount(BaseModel):
    """Somebody who is to come in by a password."""

    name: str = Field(max_length=200)
    display_name: str = Field("", max_length=200)
    roles: list[str] = Field(max_length=10)
    password: str = Field(max_length=1000)


class Roles(BaseModel):
    """All roles that an account is to have."""

    roles: list[str] = Field(max_length=10)


class Password(BaseModel):
    """A new password."""

    password: str = Field(max_length=1000)


@router.get("", summary="Everybody, by name")
def listing(flow: TheFlow, person: Looker, limit: Limit = LIMIT, cursor: Cursor = "") -> Page[AccountItem]:
    """Disabled accounts too: none is ever deleted, since the audit log speaks of it."""
    key = decode(cursor, str)
    found = accounts.listing(flow, key[0] if key else "", limit + 1)
    rows, further = page_of(found, limit, lambda account: (account.folded_name,))
    return Page(items=[AccountItem.of(row) for row in rows], next=further)


@router.post("", summary="Add somebody", status_code=201)
def add(flow: TheFlow, person: Changer, new: NewAccount) -> AccountItem:
    """409 where the name is taken."""
    return AccountItem.of(accounts.add(flow, person, new.name, new.roles, new.password, new.display_name))


@router.get("/{account_id}", summary="One account")
def one(account_id: AccountId, flow: TheFlow, person: Looker) -> AccountItem:
    """404 for none."""
    return AccountItem.of(accounts.of_id(flow, account_id))


@router.put("/{account_id}/roles", summary="Change roles", status_code=204)
def set_roles(account_id: AccountId, flow: TheFlow, person: Changer, to: Roles) -> None:
    """From the person's next request on. 409 for the last administrator."""
    accounts.set_roles(flow, person, account_id, to.roles)


@router.post("/{account_id}/disable", summary="Shut an account", status_code=204)
def disable(account_id: AccountId, flow: TheFlow, person: Changer) -> None:
    """Its sessions end, its tokens are dead. 409 for the last administrator."""
    accounts.disable(flow, person, account_id)


@router.post("/{account_id}/enable", summary="Open an account again, or take its lock away", status_code=204)
def enable(account_id: AccountId, flow: TheFlow, person: Changer) -> None:
    """Sessions that ended stay ended."""
    accounts.enable(flow, person, account_id)


@router.post("/{account_id}/password", summary="Set a password", status_code=204)
def set_password(
    request: Request, response: Response, account_id: AccountId, flow: TheFlow, person: Changer, to: Password
) -> None:
    """Every session of the account ends; of one's own, the one that asks goes on with a new cookie."""
    if secret := accounts.set_password(flow, person, account_id, to.password):
        cookies.put(request, response, cookies.SESSION, secret)


@router.get("/{account_id}/sessions", summary="Where somebody is signed in")
def sessions_of(account_id: AccountId, flow: TheFlow, person: Looker) -> list[SessionItem]:
    """The one used last first."""
    return [SessionItem.of(row) for row in sessions.listing(flow, accounts.of_id(flow, account_id).id)]


@router.delete("/{account_id}/sessions/{key}", summary="Sign somebody out somewhere", status_code=204)
def end_session(account_id: AccountId, key: str, flow: TheFlow, person: Changer) -> None:
    """`key` is the session's `id`."""
    sessions.end(flow, person, account_id, key)


@router.get("/{account_id}/tokens", summary="Tokens of somebody")
def tokens_of(account_id: AccountId, flow: TheFlow, person: Looker) -> list[TokenItem]:
    """The newest first, revoked ones too."""
    return [TokenItem.of(row) for row in tokens.listing(flow, accounts.of_id(flow, account_id).id)]


@router.delete("/{account_id}/tokens/{token_id}", summary="Revoke a token of somebody", status_code=204)
def revoke_token(account_id: AccountId, token_id: TokenId, flow: TheFlow, person: Changer) -> None:
    """It lets nobody in from now on."""
    tokens.revoke(flow, person, account_id, token_id)
