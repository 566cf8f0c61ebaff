"""Showing and hiding patients' names, from whichever page."""

from typing import Annotated

from fastapi import APIRouter, Form, Response
from fastapi.responses import RedirectResponse

from dicomnode.desk import patients
from dicomnode.desk.person import Person
from dicomnode.domain.roles import Permission
from dicomnode.web.access.gate import allow
from dicomnode.web.running import TheFlow

router = APIRouter(include_in_schema=False)
Sees = Annotated[Person, allow(Permission.PATIENTS)]
Back = Annotated[str, Form(alias="next", max_length=2000)]


@router.post("/names/show")
def show(person: Sees, flow: TheFlow, back: Back = "/series") -> Response:
    """For `web.reveal_minutes`; then back to the page that asked."""
    patients.show_names(flow, person)
    return RedirectResponse(_path(back), 303)


@router.post("/names/hide")
def hide(person: Sees, flow: TheFlow, back: Back = "/series") -> Response:
    """Now; then back to the page that asked."""
    patients.hide_names(flow, person)
    return RedirectResponse(_path(back), 303)


def _path(back: str) -> str:
    """A path of this node, never an address elsewhere."""
    return back if back.startswith("/") and back[1:2] not in ("/", "\\") and back.isprintable() else "/series"
