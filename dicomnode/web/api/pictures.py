"""What can be run on a series, and the pictures of it: before, after, and what changed."""

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from dicomnode.desk.person import Person
from dicomnode.desk.series import choices as running
from dicomnode.desk.series import results
from dicomnode.desk.series.finding import find
from dicomnode.domain.roles import Permission
from dicomnode.web.access.gate import allow
from dicomnode.web.gallery import Frame, Number, Which, gallery_of, png_of
from dicomnode.web.running import TheFlow

router = APIRouter(prefix="/api/v1/series", tags=["series"])
Sees = Annotated[Person, allow(Permission.PATIENTS)]
Runs = Annotated[Person, allow(Permission.SERIES_RUN)]
Uid = Annotated[str, Path(max_length=128, description="Series Instance UID.")]


class _Item(BaseModel):
    model_config = ConfigDict(from_attributes=True)


class ChoiceItem(_Item):
    """A pipeline, and why it does not take the series; empty where it does."""

    name: str
    title: str
    version: str
    refusal: str


class ChoicesItem(_Item):
    """What may be run by hand, and where its result may go. `objection`: why nothing may now; empty where it may."""

    objection: str
    pipelines: list[ChoiceItem]
    destinations: list[str]


class ResultItem(_Item):
    """Images that a job made of the series. `standing`: where they went; `outdated`: why not to use them any more."""

    job: int
    pipeline: str
    version: str
    params: Mapping[str, Any]
    delivered: tuple[str, ...]
    shadow: bool
    standing: str
    outdated: str


class SliceItem(BaseModel):
    """One slice of `count`, and one frame of `frames`. `pictures` has (width, height) of each that can be had as PNG;
    `missing` says why another cannot. `low`, `high` and `scale`, in `units`, are how the greys are to be read.
    """

    number: int
    count: int
    frame: int
    frames: int
    pictures: Mapping[Which, tuple[int, int]]
    missing: Mapping[str, str]
    units: str
    low: float = Field(description="Black in `before` and `after`.")
    high: float = Field(description="White in them.")
    scale: float = Field(description="Black and white of `difference` are so far below and above zero.")


@router.get("/{uid}/choices", summary="What may be run on it by hand")
def choices(person: Runs, flow: TheFlow, uid: Uid) -> ChoicesItem:
    """Pipelines that take it first, the others with the reason."""
    return ChoicesItem.model_validate(running.choices(flow, uid))


@router.get("/{uid}/images", summary="Which jobs made images of it")
def made(person: Sees, flow: TheFlow, uid: Uid) -> list[ResultItem]:
    """In the order they were asked for. Job 0, of the pictures, is the originals alone."""
    with flow.database.read() as session:
        find(session, uid)
        return [ResultItem.model_validate(each) for each in results.results(session, uid)]


@router.get("/{uid}/images/{job}/{number}", summary="One slice: which pictures there are of it")
def slice_of(
    request: Request, person: Sees, flow: TheFlow, uid: Uid, job: Number, number: Number, frame: Frame = None
) -> SliceItem:
    """`number` from 1, in the order of the series. The audit log tells who looked."""
    gallery = gallery_of(request, flow)
    shelf = gallery.find(person, uid, job, number, frame)
    drawn = gallery.draw(shelf)
    told = {name: getattr(drawn, name) for name in ("frame", "frames", "missing", "units", "low", "high", "scale")}
    return SliceItem(number=shelf.number, count=shelf.count, pictures=drawn.sizes, **told)


@router.get(
    "/{uid}/images/{job}/{number}/{which}.png",
    summary="One picture",
    response_class=Response,
    responses={200: {"content": {"image/png": {}}}},
)
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
    """PNG, as the page of the series shows it."""
    gallery = gallery_of(request, flow)
    return png_of(gallery.draw(gallery.find(person, uid, job, number, frame)), which)
