"""Today: what came, what is being done, what went out, what is wrong; up to date without reload."""

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from dicomnode.desk import day, patients
from dicomnode.desk import today as desk
from dicomnode.desk.person import Person
from dicomnode.domain.roles import Permission
from dicomnode.web.access.gate import allow
from dicomnode.web.etag import tag_of, tagged, unchanged
from dicomnode.web.rendering import page
from dicomnode.web.running import Running, TheNode

router = APIRouter(include_in_schema=False)
Looks = Annotated[Person, allow(Permission.STATUS)]
Version = Annotated[str, Query(max_length=40, description="Of the part that the page has.")]


@router.get("/")
def today(request: Request, person: Looks, node: TheNode) -> Response:
    """The whole page."""
    return _shown(request, person, node, "today/today.html", _version(person, node))


@router.get("/today/live")
def live(request: Request, person: Looks, node: TheNode, version: Version = "") -> Response:
    """The part that changes: 304 or, for a page that names the version it has, 204 when it has not changed."""
    tag = _version(person, node)
    if version and version == tag.strip('"'):
        return tagged(Response(status_code=204), tag)
    return unchanged(request, tag) or tagged(_shown(request, person, node, "today/_live.html", tag), tag)


@router.get("/today/charts")
def charts(request: Request, person: Looks, node: TheNode) -> Response:
    """The charts: they move slowly, and are asked for once a minute."""
    return page(request, "today/_charts.html", person, charts=_charts(node))


def _version(person: Person, node: Running) -> str:
    return tag_of(person, desk.version(node.flow, node.live()))


def _charts(node: Running) -> day.Charts:
    return day.charts_of(node.flow)


def _shown(request: Request, person: Person, node: Running, template: str, tag: str) -> Response:
    found = desk.today(node.flow, node.live())
    names = patients.sees(person)
    if names and found.arrivals:
        patients.viewed(node.flow, person, "today's arrivals", shown=len(found.arrivals))
    return page(
        request,
        template,
        person,
        today=found,
        names=names,
        shown_name=lambda name: patients.shown_name(person, name),
        mark=tag.strip('"'),
        charts=_charts(node) if template == "today/today.html" else None,
    )
