"""Who sends a request: by the session cookie of a browser, or the bearer token of a program."""

from fastapi import Request

from dicomnode.desk.accounts import sessions, tokens
from dicomnode.desk.accounts.sessions import Visit
from dicomnode.desk.person import Person
from dicomnode.web.access import cookies
from dicomnode.web.running import flow_of

COOKIE = cookies.SESSION
BACKGROUND = "X-Background"
"""Header of requests by which a page keeps itself up to date: they are nobody's activity, and sessions end by idleness
in spite of them."""


def identify(request: Request) -> Person | None:
    """The person, or None for nobody: no cookie, an unknown one, or a session that is over.

    A request with an `Authorization` is a program's, whatever cookies it has: no browser sends one by itself, which is
    why it passes without the check of its origin.
    """
    flow = flow_of(request)
    if (authorization := request.headers.get("authorization")) is not None:
        scheme, _, token = authorization.partition(" ")
        return tokens.person_of(flow, token.strip()) if scheme.lower() == "bearer" else None
    secret = cookies.read(request, COOKIE)
    return sessions.person_of(flow, secret, awake=BACKGROUND not in request.headers) if secret else None


def visit_of(request: Request) -> Visit:
    """Where the request comes from."""
    return Visit(request.client.host if request.client else "", request.headers.get("user-agent", ""))
