"""The destinations: how each fares, what it refused and why; ask it, pause it. Who edits one is at `/edit`."""

from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import RedirectResponse

from dicomnode.deliver.probe import ALL_CLASSES, SYNTAXES, USUAL_CLASSES, name_of
from dicomnode.desk.destinations import asking, overview, pausing
from dicomnode.desk.person import Person
from dicomnode.domain.roles import Permission
from dicomnode.web.access.gate import allow
from dicomnode.web.queue_fields import FormReason, Name
from dicomnode.web.rendering import is_part, page
from dicomnode.web.running import TheFlow

router = APIRouter(prefix="/destinations", include_in_schema=False)
"""Names may have slashes: the page of one, which takes every address, stands last."""
Looks = Annotated[Person, allow(Permission.RULES)]
Operates = Annotated[Person, allow(Permission.QUEUE_OPERATE)]
Asks = Annotated[Person, allow(Permission.DESTINATIONS_ASK)]


@router.get("")
def listing(request: Request, flow: TheFlow, person: Looks) -> Response:
    """All of them; as a part, the table alone."""
    template = "destinations/_list.html" if is_part(request) else "destinations/list.html"
    return page(request, template, person, seen=overview.overview(flow))


@router.post("/{name:path}/echo")
def echo(request: Request, flow: TheFlow, person: Asks, name: Name) -> Response:
    """C-ECHO, and what was negotiated for it."""
    asked = asking.echo(flow, person, name)
    template = "destinations/_echo.html" if is_part(request) else "destinations/echo.html"
    return page(request, template, person, name=name, asked=asked)


@router.post("/{name:path}/probe")
def probe(
    request: Request, flow: TheFlow, person: Asks, name: Name, everything: Annotated[bool, Form()] = False
) -> Response:
    """What it takes, as a table of SOP classes and transfer syntaxes."""
    asked = asking.probe(flow, person, name, ALL_CLASSES if everything else USUAL_CLASSES)
    template = "destinations/_probe.html" if is_part(request) else "destinations/probe.html"
    classes = asked.said.classes if asked.said else {}
    taken = {syntax for syntaxes in classes.values() for syntax in syntaxes}
    return page(
        request,
        template,
        person,
        name=name,
        asked=asked,
        syntaxes=[(each, name_of(each)) for each in SYNTAXES if each in taken],
        untaken=[name_of(each) for each in SYNTAXES if each not in taken],
        classes=[(uid, name_of(uid), set(syntaxes)) for uid, syntaxes in classes.items()],
    )


@router.post("/{name:path}/pause")
def pause(flow: TheFlow, person: Operates, name: Name, reason: FormReason = "") -> Response:
    """Nothing more goes to it."""
    pausing.pause(flow, person, name, reason)
    return _back(name)


@router.post("/{name:path}/resume")
def resume(flow: TheFlow, person: Operates, name: Name) -> Response:
    """Send to it again, or try it now if it is down."""
    pausing.resume(flow, person, name)
    return _back(name)


@router.get("/{name:path}")
def one(request: Request, flow: TheFlow, person: Looks, name: Name) -> Response:
    """One in full; as a part, its figures alone."""
    template = "destinations/_one.html" if is_part(request) else "destinations/one.html"
    return page(request, template, person, story=overview.story(flow, name))


def _back(name: str) -> Response:
    return RedirectResponse(f"/destinations/{quote(name, safe='')}", 303)
