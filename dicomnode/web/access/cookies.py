"""The two cookies: of a session, and of a sign-in that is under way at a provider.

Both are out of reach for scripts, and no other site's form brings them along. Over https they are called `__Host-`:
then no other host of the domain, and nobody on the way, can set them in our place.
"""

from fastapi import Request, Response

from dicomnode.web.access.origin import is_secure
from dicomnode.web.running import flow_of

SESSION = "dicomnode_session"
SIGN_IN = "dicomnode_sign_in"


def read(request: Request, name: str) -> str:
    """The cookie's value, empty for none."""
    return request.cookies.get(_name(request, name), "")


def put(request: Request, response: Response, name: str, value: str, seconds: int | None = None) -> None:
    """Set it until the browser is shut, or for so long."""
    secure = is_secure(request, flow_of(request).settings.web)
    key = _name(request, name)
    response.set_cookie(key, value, max_age=seconds, path="/", secure=secure, httponly=True, samesite="lax")


def drop(request: Request, response: Response, name: str) -> None:
    """Have the browser forget it."""
    secure = is_secure(request, flow_of(request).settings.web)
    response.delete_cookie(_name(request, name), path="/", secure=secure, httponly=True, samesite="lax")


def _name(request: Request, name: str) -> str:
    return f"__Host-{name}" if is_secure(request, flow_of(request).settings.web) else name
