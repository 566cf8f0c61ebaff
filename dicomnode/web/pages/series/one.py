"""The page of one series: what is known of it, and its story."""

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from dicomnode.db.repositories import series_slices, series_story
from dicomnode.desk.refused import Refused
from dicomnode.desk.series.story import story
from dicomnode.web.pages.series.shared import Looks, Uid, names, url_of
from dicomnode.web.rendering import is_part, page
from dicomnode.web.running import TheFlow

router = APIRouter(include_in_schema=False)

MOVING = frozenset({"receiving", "waiting", "enhancing", "delivering"})
"""Statuses that change by themselves soon: the page looks again."""


@router.get("/series/{uid}")
def one(request: Request, person: Looks, flow: TheFlow, uid: Uid) -> Response:
    """The page, or for htmx what changes of it. A derived series leads to the one that it was made from."""
    try:
        found = story(flow, person, uid)
    except Refused:
        with flow.database.read() as session:
            source = series_story.source_of(session, uid)
        if source is None:
            raise
        return RedirectResponse(url_of(source), 303)
    template = "series/_story.html" if is_part(request) else "series/one.html"
    with flow.database.read() as session:
        pictured = series_slices.count(session, uid, 0) > 0
    return page(
        request,
        template,
        person,
        story=found,
        facts=found.facts,
        base=url_of(uid),
        moving=found.facts["status"] in MOVING,
        pictured=pictured,
        **names(request, person),
    )
