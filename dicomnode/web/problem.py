"""Errors of the API as problem+json (RFC 9457), those of pages as a page in plain words."""

import json
from typing import Any
from urllib.parse import quote

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, RedirectResponse
from sqlalchemy.exc import DataError, DBAPIError
from sqlalchemy.exc import TimeoutError as SQLAlchemyTimeout
from starlette.exceptions import HTTPException

from dicomnode.desk.refused import Refused
from dicomnode.observe import log
from dicomnode.web.access.gate import NotPermitted, NotSignedIn
from dicomnode.web.access.sign_ins import own_path
from dicomnode.web.rendering import page

STATUS = {"missing": 404, "conflict": 409, "invalid": 422}


def is_api(request: Request) -> bool:
    """Whether a program asks."""
    return request.url.path.startswith("/api/")


def problem(status: int, title: str, detail: str = "", **more: Any) -> Response:
    """One problem document. `type` stays about:blank: the status says what kind it is."""
    document = {"type": "about:blank", "title": title, "status": status, **({"detail": detail} if detail else {})}
    return _Problem({**document, **more}, status)


class _Problem(JSONResponse):
    """It quotes what was sent, and that may have halves of characters (surrogates), which UTF-8 has no bytes for."""

    media_type = "application/problem+json"

    def render(self, content: Any) -> bytes:
        return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


def install(app: FastAPI) -> None:
    """Handlers for every error that a route may raise."""
    app.add_exception_handler(NotSignedIn, _not_signed_in)
    app.add_exception_handler(NotPermitted, _not_permitted)
    app.add_exception_handler(Refused, _refused)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(DataError, _not_to_be_kept)
    app.add_exception_handler(UnicodeEncodeError, _not_to_be_kept)
    app.add_exception_handler(DBAPIError, _database_away)
    app.add_exception_handler(SQLAlchemyTimeout, _database_away)


def answer(request: Request, status: int, title: str, detail: str = "", **more: Any) -> Response:
    """What went wrong: a problem document for a program, a page for a person."""
    if is_api(request):
        return problem(status, title, detail, **more)
    person = getattr(request.state, "person", None)
    return page(request, "problem.html", person, status, title=title, detail=detail, problems=more.get("problems", ()))


def _not_signed_in(request: Request, error: Exception) -> Response:
    if is_api(request):
        answer = problem(401, "not signed in", "send a token as `Authorization: Bearer ...`, or sign in")
        answer.headers["WWW-Authenticate"] = "Bearer"
        return answer
    target = "/sign-in"
    if request.headers.get("HX-Request") == "true":
        return Response(status_code=401, headers={"HX-Redirect": target})
    if request.method == "GET" and request.url.path != "/":
        target += f"?next={quote(_asked_for(request))}"
    return RedirectResponse(target, 303)


_SEARCHED = ("/series", "/audit")
"""Pages whose queries may be of patients' names: they are typed again rather than handed from address to address."""


def _asked_for(request: Request) -> str:
    """Where a person wanted to go, with the query where that is how to say it; the path alone where all is too long."""
    path = quote(request.scope["path"])
    whole = f"{path}?{request.url.query}" if request.url.query else path
    is_searched = any(path == each or path.startswith(f"{each}/") for each in _SEARCHED)
    return path if is_searched or own_path(whole) != whole else whole


def _not_permitted(request: Request, error: Exception) -> Response:
    assert isinstance(error, NotPermitted)
    request.state.person = error.person
    return answer(request, 403, "not permitted", str(error))


def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, Refused)
    more = {"problems": list(error.problems)} if error.problems else {}
    return answer(request, STATUS[error.kind], "refused", str(error), **more)


def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    found = [{"path": ".".join(map(str, each["loc"])), "message": each["msg"]} for each in error.errors()]
    return answer(
        request,
        422,
        "the request is not valid",
        "; ".join(f"{p['path']}: {p['message']}" for p in found),
        problems=found,
    )


def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    found = answer(request, error.status_code, str(error.detail).lower(), _way_out(request, error))
    found.headers.update(error.headers or {})  # 405 has to say what is allowed (RFC 9110 15.5.6)
    return found


def _way_out(request: Request, error: HTTPException) -> str:
    if not is_api(request):
        return ""
    if error.status_code == 405:
        return f"this address takes {(error.headers or {}).get('Allow', 'another method')}"
    return "/api/openapi.json lists every address" if error.status_code == 404 else ""


def _not_to_be_kept(request: Request, error: Exception) -> Response:
    """A NUL for PostgreSQL, half a character for any database: what no route has looked for is still no fault of the
    node. What the error quotes goes nowhere.
    """
    log.warning("a request was refused: it holds what no database keeps", error=type(error).__name__)
    return answer(request, 422, "the request is not valid", "a text in it holds a character that cannot be kept")


def _database_away(request: Request, error: Exception) -> Response:
    """Nobody can even be recognised then. What the error quotes may be of patients: it goes nowhere."""
    log.warning("a page was not answered: the database", error=type(error).__name__)
    detail = (
        "Images are received and kept meanwhile, up to the backlog's bound; all else waits and goes on by itself. "
        "Look whether the database runs, can be reached and has room."
    )
    found = answer(request, 503, "the database does not answer", detail)
    found.headers["Retry-After"] = "5"
    return found
