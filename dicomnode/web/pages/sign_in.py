"""Sign-in by password, and sign-out."""

from typing import Annotated

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import RedirectResponse

from dicomnode.desk.accounts import accounts, sessions
from dicomnode.desk.accounts.sign_in import NotLetIn, sign_in
from dicomnode.web.access import cookies
from dicomnode.web.access.gate import May, public
from dicomnode.web.access.identify import identify, visit_of
from dicomnode.web.access.sign_ins import TheThrottle, own_path, signed_in
from dicomnode.web.rendering import page
from dicomnode.web.running import TheFlow, flow_of

router = APIRouter(include_in_schema=False)


@router.get("/sign-in")
@public
def ask(request: Request, next: str = "/") -> Response:
    """The form; who is signed in already goes on."""
    if identify(request) is not None:
        return RedirectResponse(own_path(next), 303)
    return form(request, next)


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
    """The session is over, here and on the node."""
    sessions.sign_out(flow, person)
    response = RedirectResponse("/sign-in", 303)
    cookies.drop(request, response, cookies.SESSION)
    return response


def form(request: Request, next: str, status: int = 200, name: str = "", problem: str = "") -> Response:
    """The sign-in page, with what went wrong."""
    flow = flow_of(request)
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
    )
