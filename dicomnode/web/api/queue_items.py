"""Jobs and deliveries as documents, and how bulk calls are asked and answered."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field

from dicomnode.db.models import DeliveryItem
from dicomnode.desk.bulk import Result
from dicomnode.desk.queue import DeliveryLine, JobLine
from dicomnode.desk.queue_stories import DeliveryStory, JobStory
from dicomnode.desk.refused import Refused
from dicomnode.desk.status_words import words_of
from dicomnode.web.queue_fields import NO_NUL, Number


class JobItem(BaseModel):
    """A job in a list."""

    model_config = ConfigDict(from_attributes=True)

    id: int
    state: str
    stage: str
    pipeline: str
    version: str
    series_uid: str
    generation: int
    priority: str
    attempt: int
    failures: int
    worker: str
    verdict: str
    reason: str
    waits_for: str
    rerouted_to: int | None
    deadline_at: datetime | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None

    @classmethod
    def of(cls, line: JobLine | JobStory) -> Self:
        known = {name: getattr(line.job, name) for name in cls._of_the_row()}
        return cls(**known, priority=line.priority, waits_for=line.waits_for)

    @classmethod
    def _of_the_row(cls) -> list[str]:
        return [name for name in JobItem.model_fields if name not in ("priority", "waits_for")]


class DeliveryDocument(BaseModel):
    """A delivery, with its instances by state."""

    id: int
    state: str
    destination: str
    rule: str
    series_uid: str
    enhancement_id: int | None = Field(description="The job that made it; null for originals.")
    priority: str
    node: str
    instances: dict[str, int]
    attempts: int
    reason: str
    waits_for: str
    confirmation: str
    not_before: datetime
    confirm_at: datetime | None
    created_at: datetime
    finished_at: datetime | None

    @classmethod
    def of(cls, line: DeliveryLine | DeliveryStory) -> Self:
        elsewhere = ("priority", "instances", "waits_for")
        known = {name: getattr(line.delivery, name) for name in cls.model_fields if name not in elsewhere}
        return cls(**known, priority=line.priority, instances=dict(line.instances), waits_for=line.waits_for)


class InstanceItem(BaseModel):
    """One instance of a delivery: what the destination said of it, and what that means."""

    sop_uid: str
    sop_class_uid: str
    state: str
    status: str = Field(description="The last C-STORE status in hexadecimal; empty while none has come.")
    means: str
    todo: str
    detail: str
    attempts: int
    sent_at: datetime | None
    confirmed_by: str
    confirmed_at: datetime | None

    @classmethod
    def of(cls, row: DeliveryItem) -> Self:
        words = words_of(row.status, row.detail)
        names = ("sop_uid", "sop_class_uid", "state", "detail", "attempts", "sent_at", "confirmed_by", "confirmed_at")
        known = {name: getattr(row, name) for name in names}
        return cls(**known, status=words.code, means=words.means, todo=words.todo)


class Asked(BaseModel):
    """Which rows: those of `ids`, or all that fit the other fields, or all with `all`; said in exactly one way."""

    model_config = ConfigDict(extra="forbid")

    ids: list[Number] = Field([], max_length=10_000)
    all: bool = False
    states: list[str] = Field([], max_length=20)
    series: str = Field("", max_length=200)
    up_to: Number | None = Field(None, description="None that was entered after this one: `.../fitting` says which.")

    def require_one_way(self, *fitting: object) -> None:
        """Raises Refused."""
        if sum((bool(self.ids), self.all, any((self.states, self.series, *fitting)))) != 1:
            raise Refused("say which: by their numbers in `ids`, or by what fits, or `all` of them")


class JobsAsked(Asked):
    """Which jobs."""

    pipeline: str = Field("", max_length=200)
    node: str = Field("", max_length=200)
    priority: str = Field("", max_length=20)


class JobsRerouted(JobsAsked):
    """Which jobs, and what is to do them instead."""

    to: str = Field(max_length=200)
    params: dict[str, Any] = {}


class DeliveriesAsked(Asked):
    """Which deliveries."""

    destination: str = Field("", max_length=200)
    rule: str = Field("", max_length=200)


class DeliveriesRerouted(DeliveriesAsked):
    """Which deliveries, and where they are to go instead."""

    to: str = Field(max_length=200)


class Fitting(BaseModel):
    """What a verb would be done to: how many rows, in which states, and `up_to`, the newest of them; null for none."""

    count: int
    states: list[str]
    up_to: int | None

    @classmethod
    def of(cls, ids: Sequence[int], states: Sequence[str]) -> Self:
        return cls(count=len(ids), states=list(states), up_to=max(ids, default=None))


class RefusedRow(BaseModel):
    """One that could not be done."""

    id: int
    reason: str


class Outcome(BaseModel):
    """What came of it. `left` many were not come to in time: ask again."""

    done: list[int]
    refused: list[RefusedRow]
    left: int

    @classmethod
    def of(cls, result: Result) -> Self:
        refused = [RefusedRow(id=id, reason=reason) for id, reason in result.refused.items()]
        return cls(done=list(result.done), refused=refused, left=result.left)


class Reason(BaseModel):
    """Why; others will read it."""

    reason: str = Field("", max_length=500, pattern=NO_NUL)


class Changed(BaseModel):
    """Whether it was otherwise before."""

    changed: bool
