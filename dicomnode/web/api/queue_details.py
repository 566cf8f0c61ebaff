"""One job, one delivery and what keeps jobs from being started, in full: as their pages show them."""

from datetime import datetime
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field

from dicomnode.db.models import Hold
from dicomnode.desk.queue_stories import DeliveryStory, JobStory
from dicomnode.jobs.waiting import hold_words
from dicomnode.web.api.queue_items import DeliveryDocument, JobItem


class _Read(BaseModel):
    model_config = ConfigDict(from_attributes=True)


class Happened(_Read):
    """An event of the audit log about one thing."""

    at: datetime
    kind: str
    outcome: str
    actor: str
    message: str


class Decided(_Read):
    """A rule's decision that asked for a job; also a run by hand."""

    rule: str
    rule_state: str
    outcome: str
    deliver_to: list[str]
    generation: int
    revision: int
    decided_at: datetime


class JobDetail(JobItem):
    """A job in full: recipe, guard figures, cost, who asked for it, what it made, where that goes, what happened."""

    weights_sha256: str
    params: dict[str, Any]
    figures: list[Any]
    measured: dict[str, Any]
    outputs: int
    derived_series_uid: str
    deliveries: list[int]
    decisions: list[Decided]
    events: list[Happened]
    possible: list[str] = Field(description="What can be done to it now: retry, cancel, reroute.")

    @classmethod
    def of_story(cls, story: JobStory) -> Self:
        job = story.job
        return cls(
            **JobItem.of(story).model_dump(),
            weights_sha256=job.weights_sha256,
            params=job.params,
            figures=job.figures,
            measured=job.measured,
            outputs=story.outputs,
            derived_series_uid=story.derived_uid,
            deliveries=[row.id for row in story.deliveries],
            decisions=[Decided.model_validate(row) for row in story.decisions],
            events=[Happened.model_validate(row) for row in story.events],
            possible=story.possible,
        )


class DeliveryDetail(DeliveryDocument):
    """A delivery in full. Its instances, and its storage commitments, have addresses of their own."""

    stored_with_warning: int = Field(description="Instances.")
    events: list[Happened]
    possible: list[str] = Field(description="What can be done to it now: retry, confirm, cancel, reroute.")

    @classmethod
    def of_story(cls, story: DeliveryStory) -> Self:
        return cls(
            **DeliveryDocument.of(story).model_dump(),
            stored_with_warning=story.warnings,
            events=[Happened.model_validate(row) for row in story.events],
            possible=story.possible,
        )


class HoldItem(BaseModel):
    """Something that keeps jobs from being started: the stop switch (`enhancing`), or a pause of `pipeline`, of all
    where that is empty."""

    kind: str
    pipeline: str
    by: str
    reason: str
    since: datetime
    words: str

    @classmethod
    def of(cls, row: Hold) -> Self:
        return cls(
            kind=row.kind, pipeline=row.name, by=row.by, reason=row.reason, since=row.since, words=hold_words(row)
        )
