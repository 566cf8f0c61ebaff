"""One's own account: password, sessions, tokens."""

from typing import Annotated, Any

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import RedirectResponse

from dicomnode.desk.accounts import accounts, sessions, tokens
from dicomnode.desk.person import Person
from dicomnode.desk.refused import Refused
from dicomnode.web.access import cookies
from dicomnode.web.access.gate import May
from dicomnode.web.access.identify import visit_of
from dicomnode.web.access.keys import TokenId
from dicomnode.web.access.sign_ins import TheThrottle
from dicomnode.web.rendering import page
from dicomnode.web.running import TheFlow, flow_of

router = APIRouter(prefix="/me", include_in_schema=False)


@router.get("")
def me(request: Request, person: May) -> Response:
    """The account, where it is signed in, and its tokens."""
    return _page(request, person)


@router.post("/password")
def change_password(
    request: Request,
    flow: TheFlow,
    throttle: TheThrottle,
    person: May,
    current: Annotated[str, Form()] = "",
    password: Annotated[str, Form()] = "",
    again: Annotated[str, Form()] = "",
) -> Response:
    """A new password, for who knows the present one."""
    try:
        if password != again:
            raise Refused("the new password is not the same twice")
        secret = accounts.change_own_password(flow, throttle, person, current, password, visit_of(request))
    except Refused as refusal:
        return _page(request, person, 422, wrong={"password": str(refusal)})
    now = sessions.person_of(flow, secret) or person
    response = _page(request, now, done="Your password is changed, and your other sessions are over.")
    cookies.put(request, response, cookies.SESSION, secret)
    return response


@router.post("/sessions/end-others")
def end_others(flow: TheFlow, person: May) -> Response:
    """Sign out everywhere else."""
    sessions.end_others(flow, person)
    return RedirectResponse("/me", 303)


@router.post("/sessions/{key}/end")
def end_session(key: str, flow: TheFlow, person: May) -> Response:
    """Sign out somewhere."""
    sessions.end(flow, person, person.account_id or 0, key)
    return RedirectResponse("/me", 303)


@router.post("/tokens")
def make_token(
    request: Request,
    flow: TheFlow,
    person: May,
    name: Annotated[str, Form()] = "",
    roles: Annotated[list[str], Form()] = [],  # noqa: B006 - FastAPI copies it
    days: Annotated[str, Form()] = "",
) -> Response:
    """A token for a program; the page that answers is the only one that shows it."""
    try:
        row, secret = tokens.make(flow, person, name, roles, _days(days))
    except Refused as refusal:
        return _page(request, person, 422, wrong={"token": str(refusal)}, token_name=name)
    return _page(request, person, secret=secret, secret_of=row.name)


@router.post("/tokens/{token_id}/revoke")
def revoke_token(token_id: TokenId, flow: TheFlow, person: May) -> Response:
    """It lets nobody in any more."""
    tokens.revoke(flow, person, person.account_id or 0, token_id)
    return RedirectResponse("/me", 303)


def _days(text: str) -> int | None:
    """Days of a form's field; empty: never over. Raises Refused."""
    if not text.strip():
        return None
    if not text.strip().isdecimal():
        raise Refused("say in days how long the token is to last")
    return int(text)


def _page(request: Request, person: Person, status: int = 200, **said: Any) -> Response:
    flow = flow_of(request)
    account = accounts.of_id(flow, person.account_id or 0)
    context = {
        "account": account,
        "sessions": sessions.listing(flow, account.id),
        "tokens": [each for each in tokens.listing(flow, account.id) if each.revoked_at is None],
        "wrong": {},
        "done": "",
        "secret": "",
        "secret_of": "",
        "token_name": "",
        **said,
    }
    return page(request, "me/page.html", person, status, **context)
