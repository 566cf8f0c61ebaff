"""The pictures of a series: before, after, and what changed."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response

from dicomnode.desk.refused import Refused
from dicomnode.desk.series import results
from dicomnode.desk.series.finding import find
from dicomnode.web.gallery import Frame, Number, Which, gallery_of, png_of
from dicomnode.web.pages.series.shared import Sees, Uid, url_of
from dicomnode.web.rendering import is_part, page
from dicomnode.web.running import TheFlow

router = APIRouter(include_in_schema=False)


@router.get("/series/{uid}/images")
def images(
    request: Request,
    person: Sees,
    flow: TheFlow,
    uid: Uid,
    job: Annotated[int | None, Query(ge=0, le=2**62)] = None,
    slice: Annotated[int | None, Query(ge=1, le=2**31)] = None,
    frame: Frame = None,
) -> Response:
    """One slice: of what `job` made, by default what was delivered last, or with job 0 of the originals alone."""
    with flow.database.read() as session:
        description = find(session, uid).description
        made = results.results(session, uid)
    shown_first = results.first(made)
    job = job if job is not None else shown_first.job if shown_first else 0
    result = next((each for each in made if each.job == job), None)
    shown: dict[str, Any] = {"uid": uid, "base": url_of(uid), "made": made, "job": job, "result": result}
    shown["description"] = description
    gallery = gallery_of(request, flow)
    template = "series/_pictures.html" if is_part(request) else "series/images.html"
    try:
        shelf = gallery.find(person, uid, job, slice, frame)
    except Refused as refused:
        return page(request, template, person, 404, shelf=None, missing=str(refused), **shown)
    drawn = gallery.draw(shelf)
    return page(request, template, person, shelf=shelf, drawn=drawn, **shown)


@router.get("/series/{uid}/images/{job}/{number}/{which}.png")
def picture(
    request: Request,
    person: Sees,
    flow: TheFlow,
    uid: Uid,
    job: Number,
    number: Number,
    which: Which,
    frame: Frame = None,
) -> Response:
    """One picture as PNG; 404 in words where it cannot be drawn. As every page it is not to be stored: a browser's
    cache is files on a disk of the ward, which outlive the session.
    """
    gallery = gallery_of(request, flow)
    drawn = gallery.draw(gallery.find(person, uid, job, number, frame))
    return png_of(drawn, which)
