"""Pages as HTML: one Jinja environment, everything escaped, one base template."""

from datetime import datetime
from pathlib import Path
from typing import Any

from fastapi import Request, Response
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as SQLAlchemyTimeout

from dicomnode import __version__
from dicomnode.db.models import Hold
from dicomnode.desk import switch
from dicomnode.desk.person import Person
from dicomnode.domain.roles import Permission
from dicomnode.web.running import flow_of

FOLDER = Path(__file__).parent
_ENVIRONMENT = Environment(
    loader=FileSystemLoader(FOLDER / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    auto_reload=False,
    trim_blocks=True,
    lstrip_blocks=True,
)


def page(request: Request, template: str, person: Person | None, status: int = 200, **context: Any) -> Response:
    """A page (or a part of one, for htmx) from `templates/<template>`.

    It sees `person`, `may("permission")`, `stopped()` (who stopped enhancing, if anybody did and the database answers)
    and `context`.
    """
    html = _ENVIRONMENT.get_template(template).render(
        request=request,
        person=person,
        may=_may(person),
        stopped=lambda: _stopped(request),
        version=__version__,
        **context,
    )
    # a form is shown again as it was sent, and that may have halves of characters (surrogates)
    return HTMLResponse(html.encode("utf-8", "replace"), status_code=status)


def is_part(request: Request) -> bool:
    """Whether htmx asks for a part of the page alone."""
    return request.headers.get("HX-Request") == "true" and request.headers.get("HX-Boosted") != "true"


def _stopped(request: Request) -> Hold | None:
    """The page that says that the database is away is a page as well: it asks for nothing that is not there."""
    try:
        return switch.stopped(flow_of(request))
    except (DBAPIError, SQLAlchemyTimeout):
        return None


def _may(person: Person | None) -> Any:
    def may(permission: str) -> bool:
        return person is not None and person.may(Permission(permission))

    return may


def clock_time(instant: datetime | None) -> str:
    """In the node's own time zone, to the second; empty for none."""
    return "" if instant is None else instant.astimezone().strftime("%Y-%m-%d %H:%M:%S")


_ENVIRONMENT.filters["clock_time"] = clock_time
