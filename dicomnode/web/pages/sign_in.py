"""Sign-in by password, and sign-out."""

from typing import Annotated, Literal

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import RedirectResponse

from dicomnode.desk.accounts import accounts, sessions
from dicomnode.desk.accounts.sign_in import NotLetIn, sign_in
from dicomnode.web.access import cookies
from dicomnode.web.access.gate import May, public
from dicomnode.web.access.identify import identify, visit_of
from dicomnode.web.access.provider import Provider
from dicomnode.web.access.sign_ins import TheThrottle, own_path, signed_in
from dicomnode.web.rendering import page
from dicomnode.web.running import TheFlow, flow_of

router = APIRouter(include_in_schema=False)


@router.get("/sign-in")
@public
def ask(request: Request, next: str = "/", left: Literal["", "provider"] = "") -> Response:
    """The form; who is signed in already goes on, and who has just `left` is told where they still are signed in."""
    if identify(request) is not None:
        return RedirectResponse(own_path(next), 303)
    return form(request, next, left=bool(left))


@router.post("/sign-in")
@public
def enter(
    request: Request,
    flow: TheFlow,
    throttle: TheThrottle,
    name: Annotated[str, Form()] = "",
    password: Annotated[str, Form()] = "",
    next: Annotated[str, Form()] = "/",
) -> Response:
    """A name and a password for a session."""
    try:
        secret = sign_in(flow, throttle, name, password, visit_of(request))
    except NotLetIn as refusal:
        answer = form(request, next, status=429 if refusal.wait else 401, name=name, problem=str(refusal))
        if refusal.wait:
            answer.headers["Retry-After"] = str(int(refusal.wait))
        return answer
    return signed_in(request, secret, next)


@router.post("/sign-out")
def leave(request: Request, flow: TheFlow, person: May) -> Response:
    """The session is over, here and on the node; a provider's is not, and it would let the next one in unasked."""
    by_provider = accounts.of_id(flow, person.account_id or 0).issuer is not None
    sessions.sign_out(flow, person)
    response = RedirectResponse("/sign-in?left=provider" if by_provider else "/sign-in", 303)
    cookies.drop(request, response, cookies.SESSION)
    return response


def form(
    request: Request, next: str, status: int = 200, name: str = "", problem: str = "", left: bool = False
) -> Response:
    """The sign-in page, with what went wrong."""
    flow = flow_of(request)
    provider: Provider | None = request.app.state.provider
    oidc = flow.settings.web.oidc
    return page(
        request,
        "sign_in/page.html",
        None,
        status,
        next=own_path(next),
        name=name,
        problem=problem,
        has_administrator=accounts.has_administrator(flow),
        provider=oidc.label if oidc else "",
        leave_at=provider.sign_out_address() if left and provider else "",
    )
