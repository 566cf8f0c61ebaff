"""Sign-in by the provider: away to it, and back from it.

Away is a link and not a form: a browser holds the whole way of a form against `form-action`, which names this node
alone.
"""

import hmac
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import RedirectResponse

from dicomnode.desk.accounts import vouched
from dicomnode.desk.accounts.sign_in import NotLetIn
from dicomnode.desk.refused import Refused
from dicomnode.web.access import cookies
from dicomnode.web.access.gate import public
from dicomnode.web.access.identify import visit_of
from dicomnode.web.access.provider import Provider, ProviderFails
from dicomnode.web.access.sign_ins import TheDepartures, own_path, signed_in
from dicomnode.web.pages.sign_in import form
from dicomnode.web.running import TheFlow

router = APIRouter(include_in_schema=False)

AWAY = "provider"
"""What departures are counted as."""
Said = Annotated[str | None, Query(max_length=4000)]


@router.get("/sign-in/provider")
@public
def away(request: Request, flow: TheFlow, departures: TheDepartures, next: str = "/") -> Response:
    """To the provider, with a state that this browser alone can bring back."""
    provider = _provider(request)
    try:
        if wait := departures.take(visit_of(request).address, AWAY):
            raise NotLetIn("Too many sign-ins from your address are under way. Try again in a few minutes.", wait)
        attempt = vouched.send_away(flow, own_path(next))
        response = RedirectResponse(provider.address(attempt), 303)
    except (NotLetIn, ProviderFails) as failure:
        return form(request, next, 503, problem=str(failure))
    cookies.put(request, response, cookies.SIGN_IN, attempt.state, vouched.MINUTES * 60)
    return response


@router.get("/sign-in/back")
@public
def back(
    request: Request,
    flow: TheFlow,
    departures: TheDepartures,
    state: Said = None,
    code: Said = None,
    error: Said = None,
    iss: Said = None,
) -> Response:
    """From the provider, with a code for who the person is; or with an error, such as that they would not."""
    provider = _provider(request)
    response: Response
    try:
        began = cookies.read(request, cookies.SIGN_IN)
        if not state or not hmac.compare_digest(state.encode(), began.encode()):
            raise NotLetIn("This sign-in was not begun in this browser. Begin again.")
        attempt = vouched.take_back(flow, state)
        departures.give_back(visit_of(request).address, AWAY)
        if error or not code or not provider.is_issuer(iss):
            raise NotLetIn("The sign-in provider did not let you in. Begin again, or sign in with a password.")
        secret = vouched.sign_in(flow, provider.vouched(attempt, code), visit_of(request))
        response = signed_in(request, secret, attempt.return_to)
    except (NotLetIn, ProviderFails) as failure:
        response = form(request, "/", 403, problem=str(failure))
    cookies.drop(request, response, cookies.SIGN_IN)
    return response


def _provider(request: Request) -> Provider:
    found: Provider | None = request.app.state.provider
    if found is None:
        raise Refused("this node has no sign-in provider", "missing")
    return found
