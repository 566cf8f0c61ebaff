"""Pipelines and their models."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from dicomnode.desk import pipelines as desk
from dicomnode.desk.person import Person
from dicomnode.domain.roles import Permission
from dicomnode.web.access.gate import allow
from dicomnode.web.running import TheFlow

router = APIRouter(prefix="/api/v1/pipelines", tags=["pipelines"])
Looks = Annotated[Person, allow(Permission.STATUS)]


class _Item(BaseModel):
    model_config = ConfigDict(from_attributes=True)


class WeightsItem(_Item):
    """A file of weights; `reason` says why it is not used, empty where its bytes are those of the card."""

    file: str
    sha256: str
    verified: bool
    reason: str


class UseItem(_Item):
    """A rule that names the pipeline."""

    rule: str
    state: str


class LatelyItem(_Item):
    """The newest jobs, 200 at most: how many of each state, and what done and withheld ones took, in seconds."""

    runs: int
    states: Mapping[str, int]
    median_seconds: float | None
    longest_seconds: float | None


class PipelineItem(_Item):
    """A pipeline; `error` says why it cannot be used, empty where it can."""

    name: str
    version: str
    title: str
    file: str
    usable: bool
    error: str
    weights: WeightsItem | None
    uses: list[UseItem]
    lately: LatelyItem
    drift: Mapping[str, int] = Field(description="Control charts of what scanners send, by state.")


class ParameterItem(_Item):
    """What can be set, in words."""

    name: str
    kind: str
    allowed: str
    default: str
    description: str


class RunItem(_Item):
    """A job."""

    id: int
    series_uid: str
    version: str
    state: str
    reason: str
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    seconds: float | None


class PipelineStoryItem(_Item):
    """All that is known of a pipeline; `card` is its model card as it stands beside the weights."""

    view: PipelineItem
    card: dict[str, Any] | None
    parameters: list[ParameterItem]
    runs: list[RunItem]
    charts: list[Mapping[str, Any]]


@router.get("", summary="Every pipeline, broken ones with the reason")
def pipelines(person: Looks, flow: TheFlow) -> list[PipelineItem]:
    """In the registry's order; at the end those that rules name and nobody installed."""
    return [PipelineItem.model_validate(each) for each in desk.pipelines(flow)]


@router.get("/{name}", summary="One pipeline: its card, parameters, rules, last jobs, drift")
def pipeline(name: str, person: Looks, flow: TheFlow) -> PipelineStoryItem:
    """404 where there is none of this name."""
    story = desk.pipeline(flow, name)
    return PipelineStoryItem(
        view=PipelineItem.model_validate(story.view),
        card=None if story.card is None else story.card.model_dump(mode="json"),
        parameters=[ParameterItem.model_validate(each) for each in story.parameters],
        runs=[RunItem.model_validate(each) for each in story.runs],
        charts=list(story.charts),
    )
