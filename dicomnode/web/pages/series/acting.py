"""The buttons of a series' page."""

from typing import Annotated

from fastapi import APIRouter, Form, Response
from fastapi.responses import RedirectResponse

from dicomnode.desk.series import acting
from dicomnode.web.pages.series.shared import Runs, Uid, url_of
from dicomnode.web.running import TheFlow

router = APIRouter(include_in_schema=False)


@router.post("/series/{uid}/complete")
def complete(person: Runs, flow: TheFlow, uid: Uid) -> Response:
    """Say that it is complete."""
    acting.complete(flow, person, uid)
    return RedirectResponse(url_of(uid), 303)


@router.post("/series/{uid}/keep")
def keep(person: Runs, flow: TheFlow, uid: Uid) -> Response:
    """Keep it from retention."""
    acting.keep(flow, person, uid)
    return RedirectResponse(url_of(uid), 303)


@router.post("/series/{uid}/release")
def release(person: Runs, flow: TheFlow, uid: Uid, promise: Annotated[bool, Form()] = False) -> Response:
    """Leave it to retention; with `promise` although a modality was told that it is kept."""
    acting.release(flow, person, uid, promise=promise)
    return RedirectResponse(url_of(uid), 303)
