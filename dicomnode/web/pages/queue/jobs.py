"""The list of jobs, and one job."""

from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Request, Response

from dicomnode.db.repositories.job_list import JobFilter
from dicomnode.desk import queue, queue_stories
from dicomnode.desk.person import Person
from dicomnode.domain.roles import Permission
from dicomnode.jobs.waiting import hold_words
from dicomnode.web.access.gate import allow
from dicomnode.web.pages.queue.said import Done, Verb, said_of
from dicomnode.web.paging import LIMIT, Cursor, decode, page_of
from dicomnode.web.queue_fields import JobId, Jobs
from dicomnode.web.rendering import is_part, page
from dicomnode.web.running import TheFlow

router = APIRouter(prefix="/queue", include_in_schema=False)
Looks = Annotated[Person, allow(Permission.QUEUE)]


@router.get("")
def listing(
    request: Request, flow: TheFlow, person: Looks, wanted: Jobs, cursor: Cursor = "", verb: Verb = "", done: Done = 0
) -> Response:
    """Jobs, the newest first; as a part, the table alone."""
    key = decode(cursor, int)
    rows, further = page_of(queue.jobs(flow, wanted, LIMIT + 1, key and key[0]), LIMIT, lambda row: (row.job.id,))
    query = query_of(wanted)
    shown: dict[str, Any] = {"rows": rows, "query": query, "next": further, "cursor": cursor}
    if is_part(request):
        return page(request, "queue/_jobs.html", person, **shown)
    return page(
        request,
        "queue/jobs.html",
        person,
        wanted=wanted,
        priority=query.get("priority", ""),
        choices=queue.choices(flow),
        states=queue.JOB_STATES,
        priorities=list(queue.PRIORITY_NAMES.values()),
        held=[(row, hold_words(row)) for row in queue.held(flow)],
        said=said_of("job", verb, done),
        **shown,
    )


@router.get("/{id}")
def one(request: Request, flow: TheFlow, person: Looks, id: JobId, verb: Verb = "", done: Done = 0) -> Response:
    """A job with all that belongs to it."""
    story = queue_stories.job(flow, id)
    template = "queue/_job.html" if is_part(request) else "queue/job.html"
    usable = queue.choices(flow).usable if story.possible else []
    return page(request, template, person, story=story, usable=usable, said=said_of("job", verb, done))


def query_of(wanted: JobFilter) -> dict[str, str]:
    """The filter as names and values of a query string."""
    found = {
        key: str(value) for key, value in asdict(wanted).items() if key in ("pipeline", "series", "node") and value
    }
    if wanted.states:
        found["state"] = wanted.states[0]
    if wanted.priority is not None:
        found["priority"] = queue.PRIORITY_NAMES[wanted.priority]
    return found
