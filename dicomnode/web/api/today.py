"""The day so far, for programs and wall displays. No patient in it."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict

from dicomnode.desk import day
from dicomnode.desk import today as desk
from dicomnode.desk.person import Person
from dicomnode.domain.roles import Permission
from dicomnode.web.access.gate import allow
from dicomnode.web.etag import tag_of, unchanged
from dicomnode.web.running import TheNode

router = APIRouter(prefix="/api/v1", tags=["today"])
Looks = Annotated[Person, allow(Permission.STATUS)]


class _Read(BaseModel):
    model_config = ConfigDict(from_attributes=True)


class TroubleRead(_Read):
    """Something that needs somebody, in words: what it is, what to do, and the page on which to do it."""

    kind: str
    severity: Literal["failure", "warning", "notice"]
    message: str
    way_out: str
    href: str
    count: int
    since: datetime | None


class JobRead(_Read):
    """A piece of work."""

    id: int
    series_uid: str
    pipeline: str
    state: str
    stage: str
    worker: str
    reason: str
    started_at: datetime | None
    finished_at: datetime | None
    shadow: bool


class SeriesRead(_Read):
    """A series of today, without anything about its patient."""

    uid: str
    study_uid: str
    modality: str
    description: str
    calling_aet: str
    state: str
    last_arrival_at: datetime


class ArrivedRead(_Read):
    """A series of today, its status as in the list of series, how many instances are here, and the work on it."""

    series: SeriesRead
    status: str
    instances: int
    jobs: list[JobRead]


class WayRead(_Read):
    """A destination today: series that it took, deliveries that wait for it, and those that it refused for good."""

    destination: str
    derived: int
    originals: int
    waiting: int
    failed: int


class PointRead(_Read):
    """A value at an instant, or of the span that begins with it; null: nothing was measured."""

    at: datetime
    value: float | None


class ChartsRead(_Read):
    """`queue`: jobs that waited or ran, the most at a full minute of each 15. `ways`: median seconds from the last
    slice until a destination had taken the derived series, every 30 minutes."""

    queue: list[PointRead]
    ways: list[PointRead]
    way_count: int
    way_median: float | None
    way_longest: float | None


class TodayRead(_Read):
    """The day since midnight on the node's wall. `ended`: jobs that ended, by state; `open_jobs`: ready and running."""

    now: datetime
    since: datetime
    arrived: int
    delivered: int
    arrivals: list[ArrivedRead]
    running: list[JobRead]
    open_jobs: Mapping[str, int]
    ended: Mapping[str, int]
    withheld: list[JobRead]
    ways: list[WayRead]
    troubles: list[TroubleRead]


@router.get(
    "/today",
    summary="What came, is being done, went out and is wrong",
    response_model=TodayRead,
    responses={304: {"description": "Nothing has happened since that tag."}},
)
def today(request: Request, response: Response, person: Looks, node: TheNode) -> TodayRead | Response:
    """Has an entity tag: with `If-None-Match` the answer is 304 until something happens."""
    tag = tag_of(person, desk.version(node.flow, node.live()))
    if (same := unchanged(request, tag)) is not None:
        return same
    response.headers["ETag"] = tag
    return TodayRead.model_validate(desk.today(node.flow, node.live()))


@router.get("/today/charts", summary="Queue depth, and time from the last slice to the PACS, over the day")
def charts(person: Looks, node: TheNode) -> ChartsRead:
    """From the times of the rows themselves."""
    return ChartsRead.model_validate(day.charts_of(node.flow))
