"""The list of series: filters, pages, the first page up to date without reload."""

from datetime import date, datetime, time, timedelta
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request, Response

from dicomnode.db.repositories import series_search
from dicomnode.db.repositories.series_search import Wanted
from dicomnode.db.repositories.series_status import STATUSES
from dicomnode.desk.refused import Refused
from dicomnode.desk.series import finding
from dicomnode.web.pages.series.shared import Looks, names
from dicomnode.web.paging import LIMIT, Cursor, decode, page_of
from dicomnode.web.queue_fields import NO_NUL
from dicomnode.web.rendering import is_part, page
from dicomnode.web.running import TheFlow

router = APIRouter(include_in_schema=False)
Word = Annotated[str, Query(max_length=200, pattern=NO_NUL)]
Day = Annotated[str, Query(max_length=10)]


@router.get("/series")
def listed(
    request: Request,
    person: Looks,
    flow: TheFlow,
    q: Word = "",
    modality: Word = "",
    sender: Word = "",
    status: Word = "",
    made: Word = "",
    since: Annotated[str, Query(alias="from", max_length=10)] = "",
    until: Annotated[str, Query(alias="to", max_length=10)] = "",
    study: Word = "",
    cursor: Cursor = "",
) -> Response:
    """The page, or for htmx the list alone."""
    wanted = Wanted(
        text=q,
        modality=modality,
        calling_aet=sender,
        status=status,
        made=made,
        study_uid=study,
        since=_midnight(since),
        until=_midnight(until, 1),
    )
    found = finding.listed(flow, person, wanted, LIMIT, decode(cursor, str, str), ahead=True)
    rows, onward = page_of(found, LIMIT, lambda row: row.key)
    fields = {"q": q, "modality": modality, "sender": sender, "status": status, "made": made}
    fields |= {"from": since, "to": until, "study": study}
    chosen = {name: value for name, value in fields.items() if value}
    shown: dict[str, Any] = {
        "rows": rows,
        "filters": fields,
        "any": bool(chosen),
        "cursor": cursor,
        **names(request, person),
    }
    shown |= {"next_url": _url({**chosen, "cursor": onward}) if onward else "", "first_url": _url(chosen)}
    if is_part(request):
        return page(request, "series/_list.html", person, **shown)
    with flow.database.read() as session:
        shown |= {"modalities": series_search.modalities(session), "senders": series_search.senders(session)}
    return page(request, "series/list.html", person, statuses=STATUSES, **shown)


def _url(fields: dict[str, str]) -> str:
    return f"/series?{urlencode(fields)}" if fields else "/series"


def _midnight(day: str, later: int = 0) -> datetime | None:
    """When a day begins on the node's own clock, so many days later; None for none."""
    if not day:
        return None
    try:
        return datetime.combine(date.fromisoformat(day) + timedelta(days=later), time()).astimezone()
    except (ValueError, OverflowError) as error:
        raise Refused(f"{day!r} is no day: write it as 2026-03-01") from error
