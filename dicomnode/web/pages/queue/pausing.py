"""Start no jobs for a while, of one pipeline or of all."""

from typing import Annotated

from fastapi import APIRouter, Response
from fastapi.responses import RedirectResponse

from dicomnode.desk import jobs
from dicomnode.desk.person import Person
from dicomnode.domain.roles import Permission
from dicomnode.web.access.gate import allow
from dicomnode.web.queue_fields import FormName, FormReason
from dicomnode.web.running import TheFlow

router = APIRouter(prefix="/queue", include_in_schema=False)
Operates = Annotated[Person, allow(Permission.QUEUE_OPERATE)]


@router.post("/pause")
def pause(flow: TheFlow, person: Operates, pipeline: FormName = "", reason: FormReason = "") -> Response:
    """What runs goes on."""
    jobs.pause(flow, person, pipeline, reason)
    return RedirectResponse("/queue", 303)


@router.post("/resume")
def resume(flow: TheFlow, person: Operates, pipeline: FormName = "") -> Response:
    """Start jobs again."""
    jobs.resume(flow, person, pipeline)
    return RedirectResponse("/queue", 303)
