"""Who sends a request: by the session cookie of a browser, or the bearer token of a program."""

from fastapi import Request

from dicomnode.desk.accounts import sessions
from dicomnode.desk.person import Person
from dicomnode.web.running import flow_of

COOKIE = "dicomnode_session"


def identify(request: Request) -> Person | None:
    """The person, or None for nobody: no cookie, an unknown one, or a session that is over."""
    secret = request.cookies.get(COOKIE)
    return sessions.person_of(flow_of(request), secret) if secret else None
