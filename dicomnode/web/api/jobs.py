"""Jobs: the enhancements that wait, run and are over."""

from typing import Annotated, Literal

from fastapi import APIRouter
from pydantic import Field

from dicomnode.desk import jobs, queue, queue_stories
from dicomnode.desk.person import Person
from dicomnode.domain.roles import Permission
from dicomnode.web.access.gate import allow
from dicomnode.web.api.queue_details import HoldItem, JobDetail
from dicomnode.web.api.queue_items import Changed, Fitting, JobItem, JobsAsked, JobsRerouted, Outcome, Reason
from dicomnode.web.paging import LIMIT, Cursor, Limit, Page, decode, page_of
from dicomnode.web.queue_fields import BULK_SECONDS, NO_NUL, JobId, Jobs
from dicomnode.web.running import TheFlow

router = APIRouter(prefix="/api/v1/jobs", tags=["jobs"])
Looks = Annotated[Person, allow(Permission.QUEUE)]
Operates = Annotated[Person, allow(Permission.QUEUE_OPERATE)]


class Pause(Reason):
    """Of one pipeline, or of all without a name."""

    pipeline: str = Field("", max_length=200, pattern=NO_NUL)


@router.get("", summary="Jobs, the newest first")
def listing(flow: TheFlow, person: Looks, wanted: Jobs, limit: Limit = LIMIT, cursor: Cursor = "") -> Page[JobItem]:
    """`node`: those that run there, or ran there last."""
    key = decode(cursor, int)
    rows, further = page_of(queue.jobs(flow, wanted, limit + 1, key and key[0]), limit, lambda row: (row.job.id,))
    return Page(items=[JobItem.of(row) for row in rows], next=further)


@router.get("/holds", summary="What keeps jobs from being started")
def held(flow: TheFlow, person: Looks) -> list[HoldItem]:
    """The stop switch, and what is paused; on any node. They are few."""
    return [HoldItem.of(row) for row in queue.held(flow)]


@router.get("/fitting", summary="How many jobs something would be done to")
def fitting(flow: TheFlow, person: Operates, wanted: Jobs, verb: Literal["retry", "cancel", "reroute"]) -> Fitting:
    """To be asked before it is done to all that fit: with its `up_to`, what comes after is left alone."""
    ids = jobs.numbers(flow, wanted, jobs.VERBS[verb])
    return Fitting.of(ids, jobs.VERBS[verb].states(wanted.states))


@router.post("/retry", summary="Run jobs again")
def retry(flow: TheFlow, person: Operates, asked: JobsAsked) -> Outcome:
    """Without `states`: those that failed. They have no deadline any more."""
    return Outcome.of(jobs.retry(flow, person, _which(asked), BULK_SECONDS))


@router.post("/cancel", summary="Stop jobs: originals only")
def cancel(flow: TheFlow, person: Operates, asked: JobsAsked) -> Outcome:
    """Without `states`: those that wait or run."""
    return Outcome.of(jobs.cancel(flow, person, _which(asked), BULK_SECONDS))


@router.post("/reroute", summary="Have another pipeline do jobs")
def reroute(flow: TheFlow, person: Operates, asked: JobsRerouted) -> Outcome:
    """Without `states`: those that wait."""
    return Outcome.of(jobs.reroute(flow, person, _which(asked), asked.to, asked.params, BULK_SECONDS))


@router.post("/pause", summary="Start no more jobs, on any node")
def pause(flow: TheFlow, person: Operates, asked: Pause) -> Changed:
    """What runs goes on."""
    return Changed(changed=jobs.pause(flow, person, asked.pipeline, asked.reason))


@router.post("/resume", summary="Start jobs again")
def resume(flow: TheFlow, person: Operates, asked: Pause) -> Changed:
    """Of the same pipeline that was paused, or all."""
    return Changed(changed=jobs.resume(flow, person, asked.pipeline)[0])


@router.get("/{id}", summary="One job")
def one(flow: TheFlow, person: Looks, id: JobId) -> JobDetail:
    """404 for none."""
    return JobDetail.of_story(queue_stories.job(flow, id))


def _which(asked: JobsAsked) -> jobs.Which:
    asked.require_one_way(asked.pipeline, asked.node, asked.priority)
    wanted = queue.job_filter(asked.states, asked.pipeline, asked.series, asked.node, asked.priority, asked.up_to)
    return asked.ids or wanted
