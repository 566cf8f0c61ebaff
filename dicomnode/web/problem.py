"""Errors of the API as problem+json (RFC 9457), those of pages as a page in plain words."""

from typing import Any
from urllib.parse import quote

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, RedirectResponse
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as SQLAlchemyTimeout
from starlette.exceptions import HTTPException

from dicomnode.desk.refused import Refused
from dicomnode.observe import log
from dicomnode.web.access.gate import NotPermitted, NotSignedIn
from dicomnode.web.rendering import page

STATUS = {"missing": 404, "conflict": 409, "invalid": 422}


def is_api(request: Request) -> bool:
    """Whether a program asks."""
    return request.url.path.startswith("/api/")


def problem(status: int, title: str, detail: str = "", **more: Any) -> Response:
    """One problem document. `type` stays about:blank: the status says what kind it is."""
    document = {"type": "about:blank", "title": title, "status": status, **({"detail": detail} if detail else {})}
    return JSONResponse({**document, **more}, status, media_type="application/problem+json")


def install(app: FastAPI) -> None:
    """Handlers for every error that a route may raise."""
    app.add_exception_handler(NotSignedIn, _not_signed_in)
    app.add_exception_handler(NotPermitted, _not_permitted)
    app.add_exception_handler(Refused, _refused)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    for kind in (DBAPIError, SQLAlchemyTimeout):
        app.add_exception_handler(kind, _database_away)


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
        target += f"?next={quote(request.url.path)}"
    return RedirectResponse(target, 303)


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
    return answer(request, error.status_code, str(error.detail).lower())


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
