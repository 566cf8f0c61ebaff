"""System: the machine room, and the stop switch."""

from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import RedirectResponse

from dicomnode.desk import switch
from dicomnode.desk import system as desk
from dicomnode.desk.person import Person
from dicomnode.domain.finding import Finding
from dicomnode.domain.roles import Permission
from dicomnode.web.access.gate import allow
from dicomnode.web.rendering import page
from dicomnode.web.running import Running, TheFlow, TheNode

router = APIRouter(include_in_schema=False)
Looks = Annotated[Person, allow(Permission.STATUS)]
Switches = Annotated[Person, allow(Permission.SWITCH)]
Reason = Annotated[str, Form(max_length=500)]


@router.get("/system")
def system(request: Request, person: Looks, node: TheNode) -> Response:
    """As it is now."""
    return _shown(request, person, node, None)


@router.get("/system/check-up")
def check_up(request: Request, person: Looks, node: TheNode) -> Response:
    """The same, with what the doctor's quick look finds."""
    return _shown(request, person, node, desk.check_up(node.flow, node.live()))


@router.post("/system/enhancing/stop")
def stop(person: Switches, flow: TheFlow, reason: Reason = "") -> Response:
    """Originals alone flow from now on, on every node."""
    switch.stop(flow, person, reason.strip())
    return RedirectResponse("/system", 303)


@router.post("/system/enhancing/start")
def start(person: Switches, flow: TheFlow) -> Response:
    """Enhance again."""
    switch.start(flow, person)
    return RedirectResponse("/system", 303)


def _shown(request: Request, person: Person, node: Running, findings: Sequence[Finding] | None) -> Response:
    found = desk.system(node.flow, node.live(), person)
    return page(request, "system/system.html", person, system=found, findings=findings)
