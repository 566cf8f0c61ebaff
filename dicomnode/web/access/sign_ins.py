"""What sign-ins share: the throttle of this process, and where they lead to."""

import re
from typing import Annotated

from fastapi import Depends, Request
from fastapi.responses import RedirectResponse

from dicomnode.desk.accounts import sessions, vouched
from dicomnode.desk.accounts.throttle import Throttle
from dicomnode.settings.web import WebSettings
from dicomnode.web.access import cookies
from dicomnode.web.access.identify import identify
from dicomnode.web.access.provider import Provider
from dicomnode.web.running import flow_of

MOST_AWAY = 300
"""Sign-ins of one address that are at the provider, in the time that they may take. There is room for so many in all,
and who only goes away and never comes back would take it from everybody."""
_OWN = re.compile(r"/(?![/\\])[\x21-\x5b\x5d-\x7e]*")
LONGEST = 500


def throttle(web: WebSettings) -> Throttle:
    """The brake on wrong sign-ins, by the settings."""
    return Throttle(web.lockout_failures, web.lockout_minutes * 60.0)


def departures() -> Throttle:
    """The brake on leaving for the provider."""
    return Throttle(MOST_AWAY, vouched.MINUTES * 60.0)


def provider(web: WebSettings) -> Provider | None:
    """Who vouches for people, if the settings name one."""
    return None if web.oidc is None else Provider(web.oidc, web.public_url)


def _throttle_of(request: Request) -> Throttle:
    found: Throttle = request.app.state.throttle
    return found


def _departures_of(request: Request) -> Throttle:
    found: Throttle = request.app.state.departures
    return found


TheThrottle = Annotated[Throttle, Depends(_throttle_of)]
TheDepartures = Annotated[Throttle, Depends(_departures_of)]


def own_path(text: str) -> str:
    """The path, where it is one of this node, else `/`: a sign-in sends nobody to another site.

    Browsers take `//` and `/\\` for the beginning of a host, and drop control characters before they look.
    """
    return text if len(text) <= LONGEST and _OWN.fullmatch(text) and not text.startswith("/sign-") else "/"


def signed_in(request: Request, secret: str, target: str) -> RedirectResponse:
    """Go on as the person of the new session. One that this browser had before is over."""
    before = identify(request)
    if before is not None:
        sessions.sign_out(flow_of(request), before)
    response = RedirectResponse(own_path(target), 303)
    cookies.put(request, response, cookies.SESSION, secret)
    return response
