"""Pipelines and models: what there is, what is broken, what each is for and did lately."""

from typing import Annotated

from fastapi import APIRouter, Request, Response

from dicomnode.desk import pipelines as desk
from dicomnode.desk.person import Person
from dicomnode.domain.roles import Permission
from dicomnode.web.access.gate import allow
from dicomnode.web.rendering import page
from dicomnode.web.running import TheFlow

router = APIRouter(include_in_schema=False)
Looks = Annotated[Person, allow(Permission.STATUS)]


@router.get("/pipelines")
def pipelines(request: Request, person: Looks, flow: TheFlow) -> Response:
    """All of them."""
    return page(request, "pipelines/list.html", person, pipelines=desk.pipelines(flow))


@router.get("/pipelines/{name}")
def pipeline(request: Request, name: str, person: Looks, flow: TheFlow) -> Response:
    """One, with its card."""
    return page(request, "pipelines/one.html", person, story=desk.pipeline(flow, name))
