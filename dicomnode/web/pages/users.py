"""Accounts of everybody, for administrators; auditors may look."""

from typing import Annotated, Any

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import RedirectResponse

from dicomnode.desk.accounts import accounts, sessions, tokens
from dicomnode.desk.person import Person
from dicomnode.desk.refused import Refused
from dicomnode.domain.roles import Permission, Role
from dicomnode.web.access import cookies
from dicomnode.web.access.gate import allow
from dicomnode.web.access.keys import AccountId, TokenId
from dicomnode.web.paging import Cursor, decode, page_of
from dicomnode.web.rendering import page
from dicomnode.web.running import TheFlow, flow_of

router = APIRouter(prefix="/users", include_in_schema=False)

Looker = Annotated[Person, allow(Permission.USERS)]
Changer = Annotated[Person, allow(Permission.USERS_CHANGE)]
ON_A_PAGE = 100


@router.get("")
def listing(request: Request, flow: TheFlow, person: Looker, cursor: Cursor = "") -> Response:
    """Everybody, by name."""
    key = decode(cursor, str)
    found = accounts.listing(flow, key[0] if key else "", ON_A_PAGE + 1)
    rows, further = page_of(found, ON_A_PAGE, lambda account: (account.folded_name,))
    return page(request, "users/page.html", person, users=rows, further=further, first=not cursor)


@router.get("/new")
def ask_for_new(request: Request, person: Changer) -> Response:
    """The form of a new account."""
    return _new(request, person)


@router.post("/new")
def add(
    request: Request,
    flow: TheFlow,
    person: Changer,
    name: Annotated[str, Form()] = "",
    display_name: Annotated[str, Form()] = "",
    password: Annotated[str, Form()] = "",
    roles: Annotated[list[str], Form()] = [],  # noqa: B006 - FastAPI copies it
) -> Response:
    """A new account."""
    try:
        account = accounts.add(flow, person, name, roles, password, display_name)
    except Refused as refusal:
        said = {"name": name, "display_name": display_name, "chosen": roles}
        return _new(request, person, 422, problem=str(refusal), **said)
    return RedirectResponse(f"/users/{account.id}", 303)


@router.get("/{account_id}")
def one(request: Request, account_id: AccountId, person: Looker) -> Response:
    """An account with its sessions and tokens."""
    return _one(request, person, account_id)


@router.post("/{account_id}/roles")
def set_roles(
    request: Request,
    account_id: AccountId,
    flow: TheFlow,
    person: Changer,
    roles: Annotated[list[str], Form()] = [],  # noqa: B006 - FastAPI copies it
) -> Response:
    """What this person may from now on."""
    try:
        accounts.set_roles(flow, person, account_id, roles)
    except Refused as refusal:
        return _again(request, person, account_id, refusal, "roles")
    return _back(account_id)


@router.post("/{account_id}/disable")
def disable(request: Request, account_id: AccountId, flow: TheFlow, person: Changer) -> Response:
    """Shut the account."""
    try:
        accounts.disable(flow, person, account_id)
    except Refused as refusal:
        return _again(request, person, account_id, refusal, "account")
    return _back(account_id)


@router.post("/{account_id}/enable")
def enable(account_id: AccountId, flow: TheFlow, person: Changer) -> Response:
    """Open it again, and take a lock away."""
    accounts.enable(flow, person, account_id)
    return _back(account_id)


@router.post("/{account_id}/password")
def set_password(
    request: Request, account_id: AccountId, flow: TheFlow, person: Changer, password: Annotated[str, Form()] = ""
) -> Response:
    """A new password; every session of the account ends."""
    try:
        secret = accounts.set_password(flow, person, account_id, password)
    except Refused as refusal:
        return _again(request, person, account_id, refusal, "password")
    response = _back(account_id)
    if secret:
        cookies.put(request, response, cookies.SESSION, secret)
    return response


@router.post("/{account_id}/sessions/{key}/end")
def end_session(account_id: AccountId, key: str, flow: TheFlow, person: Changer) -> Response:
    """Sign somebody out somewhere."""
    sessions.end(flow, person, account_id, key)
    return _back(account_id)


@router.post("/{account_id}/tokens/{token_id}/revoke")
def revoke_token(account_id: AccountId, token_id: TokenId, flow: TheFlow, person: Changer) -> Response:
    """A token of somebody's lets nobody in any more."""
    tokens.revoke(flow, person, account_id, token_id)
    return _back(account_id)


def _back(account_id: AccountId) -> Response:
    return RedirectResponse(f"/users/{account_id}", 303)


def _new(request: Request, person: Person, status: int = 200, **said: Any) -> Response:
    context = {"roles": Role, "name": "", "display_name": "", "chosen": [], "problem": "", **said}
    return page(request, "users/new.html", person, status, **context)


def _again(request: Request, person: Person, account_id: AccountId, refusal: Refused, where: str) -> Response:
    """The same page with what is wrong; a refusal because there is no such account has no page."""
    if refusal.kind == "missing":
        raise refusal
    return _one(request, person, account_id, 409 if refusal.kind == "conflict" else 422, {where: str(refusal)})


def _one(
    request: Request, person: Person, account_id: AccountId, status: int = 200, wrong: dict[str, str] | None = None
) -> Response:
    flow = flow_of(request)
    account = accounts.of_id(flow, account_id)
    return page(
        request,
        "users/one.html",
        person,
        status,
        account=account,
        locked=accounts.is_locked(flow, account),
        roles=Role,
        sessions=sessions.listing(flow, account_id),
        tokens=[each for each in tokens.listing(flow, account_id) if each.revoked_at is None],
        wrong=wrong or {},
    )
