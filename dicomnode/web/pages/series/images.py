"""The pictures of a series: before, after, and what changed."""

import threading
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query, Request, Response

from dicomnode.db.repositories import series_story
from dicomnode.desk.refused import Refused
from dicomnode.desk.series.finding import find
from dicomnode.desk.series.pictures import Gallery
from dicomnode.flow import Flow
from dicomnode.web.etag import tag_of, tagged, unchanged
from dicomnode.web.pages.series.shared import Sees, Uid, url_of
from dicomnode.web.rendering import is_part, page
from dicomnode.web.running import TheFlow

router = APIRouter(include_in_schema=False)
Which = Literal["before", "after", "difference"]
Number = Annotated[int, Path(ge=0, le=2**31)]
_making = threading.Lock()


def _gallery(request: Request, flow: Flow) -> Gallery:
    """The one of this application."""
    with _making:
        state = request.app.state
        if not hasattr(state, "gallery"):
            state.gallery = Gallery(flow)
        gallery: Gallery = state.gallery
        return gallery


@router.get("/series/{uid}/images")
def images(
    request: Request,
    person: Sees,
    flow: TheFlow,
    uid: Uid,
    job: Annotated[int | None, Query(ge=0, le=2**62)] = None,
    slice: Annotated[int | None, Query(ge=1, le=2**31)] = None,
) -> Response:
    """One slice: of what `job` made, the newest one by default, or with job 0 the originals alone."""
    with flow.database.read() as session:
        description = find(session, uid).description
        made = [each for each in series_story.made(session, uid) if each.outputs]
    job = job if job is not None else made[-1].work.id if made else 0
    shown: dict[str, Any] = {"uid": uid, "base": url_of(uid), "made": made, "job": job, "description": description}
    gallery = _gallery(request, flow)
    template = "series/_pictures.html" if is_part(request) else "series/images.html"
    try:
        shelf = gallery.find(person, uid, job, slice)
    except Refused as refused:
        return page(request, template, person, 404, shelf=None, missing=str(refused), **shown)
    return page(request, template, person, shelf=shelf, drawn=gallery.draw(shelf), **shown)


@router.get("/series/{uid}/images/{job}/{number}/{which}.png")
def picture(
    request: Request, person: Sees, flow: TheFlow, uid: Uid, job: Number, number: Number, which: Which
) -> Response:
    """One picture as PNG; 404 in words where it cannot be drawn."""
    gallery = _gallery(request, flow)
    shelf = gallery.find(person, uid, job, number)
    tag = tag_of(person, shelf.etag, which)
    if known := unchanged(request, tag):
        return _private(known)
    drawn = gallery.draw(shelf)
    if which not in drawn.png:
        raise Refused(drawn.missing.get(which, f"there is no picture {which}: nothing was made of it"), "missing")
    return _private(tagged(Response(drawn.png[which], media_type="image/png"), tag))


def _private(response: Response) -> Response:
    """Kept by this browser alone, and asked for again each time: who may see it may change."""
    response.headers["Cache-Control"] = "private, no-cache"
    return response
