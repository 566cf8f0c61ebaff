"""Series: search, stories, and what people do to one."""

from typing import Annotated, Literal

from fastapi import APIRouter, Path, Query
from pydantic import AwareDatetime

from dicomnode.db.repositories.series_search import Wanted
from dicomnode.desk.person import Person
from dicomnode.desk.series import acting, finding
from dicomnode.desk.series.story import story as story_of
from dicomnode.domain.roles import Permission
from dicomnode.flow.enhancing.asked import Asked
from dicomnode.web.access.gate import allow
from dicomnode.web.access.names_asked import Names, seeing
from dicomnode.web.api.series_items import (
    ReleasedItem,
    ReleaseOrder,
    RunItem,
    RunOrder,
    SeriesFacts,
    SeriesRow,
    StoryItem,
)
from dicomnode.web.paging import LIMIT, Cursor, Limit, Page, decode, page_of
from dicomnode.web.queue_fields import NO_NUL
from dicomnode.web.running import TheFlow

router = APIRouter(prefix="/api/v1/series", tags=["series"])
Looks = Annotated[Person, allow(Permission.SERIES)]
Runs = Annotated[Person, allow(Permission.SERIES_RUN)]
Uid = Annotated[str, Path(max_length=128, pattern=NO_NUL, description="Series Instance UID.")]
Word = Annotated[str, Query(max_length=200, pattern=NO_NUL)]


@router.get("", summary="Search series, the newest arrival first")
def search(
    person: Looks,
    flow: TheFlow,
    text: Annotated[
        str, Query(max_length=200, pattern=NO_NUL, description="Words, or a UID of a series, study or instance.")
    ] = "",
    modality: Word = "",
    calling_aet: Word = "",
    status: Word = "",
    made: Literal["", "derived", "outdated"] = "",
    study_uid: Word = "",
    since: AwareDatetime | None = None,
    until: AwareDatetime | None = None,
    names: Names = False,
    limit: Limit = LIMIT,
    cursor: Cursor = "",
) -> Page[SeriesRow]:
    """Names are searched for who may see patients, in whatever script and case."""
    wanted = Wanted(
        text=text,
        modality=modality,
        calling_aet=calling_aet,
        status=status,
        made=made,
        study_uid=study_uid,
        since=since,
        until=until,
    )
    found = finding.listed(flow, seeing(person, names), wanted, limit, decode(cursor, str, str), ahead=True)
    rows, onward = page_of(found, limit, lambda row: row.key)
    return Page(items=[SeriesRow.model_validate(row) for row in rows], next=onward)


@router.get("/{uid}", summary="What is known of one series")
def one(person: Looks, flow: TheFlow, uid: Uid, names: Names = False) -> SeriesFacts:
    """Its study, state and status, what is stored of it, what is wrong with it."""
    return SeriesFacts.model_validate(story_of(flow, seeing(person, names), uid).facts)


@router.get("/{uid}/story", summary="What happened to it, in the order of time")
def story(person: Looks, flow: TheFlow, uid: Uid, names: Names = False) -> StoryItem:
    """Arrivals, generations, what rules decided and why, jobs with guard figures, deliveries, events."""
    return StoryItem.model_validate(story_of(flow, seeing(person, names), uid))


@router.post("/{uid}/run", summary="Have a pipeline run on it by hand", status_code=202)
def run(person: Runs, flow: TheFlow, uid: Uid, order: RunOrder) -> RunItem:
    """On its newest generation, in the ledger like any other work. 409: the series as it stands does not allow it."""
    asked = Asked(order.pipeline, order.params, tuple(order.deliver_to), order.priority)
    return RunItem.model_validate(acting.run(flow, person, uid, asked))


@router.post("/{uid}/complete", summary="Say that it is complete", status_code=204)
def complete(person: Runs, flow: TheFlow, uid: Uid) -> None:
    """Without waiting for evidence or quiet time. 409: it is already."""
    acting.complete(flow, person, uid)


@router.post("/{uid}/keep", summary="Keep it from retention", status_code=204)
def keep(person: Runs, flow: TheFlow, uid: Uid) -> None:
    """Until it is released."""
    acting.keep(flow, person, uid)


@router.post("/{uid}/release", summary="Leave it to retention")
def release(person: Runs, flow: TheFlow, uid: Uid, order: ReleaseOrder | None = None) -> ReleasedItem:
    """Its conflicts have been looked at, too."""
    order = order or ReleaseOrder()
    return ReleasedItem.model_validate(acting.release(flow, person, uid, promise=order.promise))
