"""Destinations: how each fares, and what it says when it is asked."""

from datetime import datetime
from typing import Annotated, Self

from fastapi import APIRouter
from pydantic import BaseModel, Field

from dicomnode.deliver.destination import Destination
from dicomnode.deliver.probe import ALL_CLASSES, USUAL_CLASSES
from dicomnode.desk.destinations import asking, overview, pausing
from dicomnode.desk.destinations.overview import Answer, Seen
from dicomnode.desk.person import Person
from dicomnode.domain.roles import Permission
from dicomnode.web.access.gate import allow
from dicomnode.web.api.queue_details import Happened
from dicomnode.web.api.queue_items import Changed, Reason
from dicomnode.web.queue_fields import Name
from dicomnode.web.running import TheFlow

router = APIRouter(prefix="/api/v1/destinations", tags=["destinations"])
Looks = Annotated[Person, allow(Permission.RULES)]
Operates = Annotated[Person, allow(Permission.QUEUE_OPERATE)]
Asks = Annotated[Person, allow(Permission.DESTINATIONS_ASK)]


class AnswerItem(BaseModel):
    """So many instances were answered so."""

    status: str = Field(description="Hexadecimal; empty where none came.")
    means: str
    todo: str
    detail: str
    instances: int
    newest_delivery: int

    @classmethod
    def of(cls, row: Answer) -> Self:
        words = row.words
        return cls(
            status=words.code,
            means=words.means,
            todo=words.todo,
            detail=row.detail,
            instances=row.instances,
            newest_delivery=row.newest,
        )


class DestinationItem(BaseModel):
    """A destination of the site in force. `waits` and `dead_letters` count deliveries."""

    name: str
    ae_title: str
    host: str
    port: int
    tls: str | None
    enabled: bool
    state: str = Field(description="up, down, full, stopped, paused or not enabled.")
    reason: str
    paused_by: str | None
    down_since: datetime | None
    failed_attempts: int
    next_attempt_at: datetime | None
    waits: int
    dead_letters: int
    today: dict[str, int] = Field(description="Deliveries that ended since midnight on the node's clock, by state.")
    unreported_commitments: int
    rejected: list[AnswerItem] = Field(description="Of the instances in dead letters.")
    rejected_whole: bool = Field(description="Of all dead letters; false: of the newest, there are so many.")

    @classmethod
    def of(cls, seen: Seen) -> Self:
        entry, health = seen.entry, seen.health
        return cls(
            name=entry.name,
            ae_title=entry.ae_title,
            host=entry.host,
            port=entry.port,
            tls=entry.tls,
            enabled=entry.enabled,
            state=health.state,
            reason=health.reason,
            paused_by=health.hold.by if health.hold else None,
            down_since=health.outage.since if health.outage else None,
            failed_attempts=health.outage.attempts if health.outage else 0,
            next_attempt_at=health.next_attempt_at,
            waits=seen.waits,
            dead_letters=seen.dead_letters,
            today=dict(seen.today),
            unreported_commitments=seen.unreported,
            rejected=[AnswerItem.of(row) for row in seen.rejected],
            rejected_whole=seen.rejected_whole,
        )


class DestinationDetail(DestinationItem):
    """With what it stored with a warning, and what happened: outages, pauses, questions."""

    warned: list[AnswerItem] = Field(description="Of the instances in its newest deliveries.")
    events: list[Happened]


class EchoAnswer(BaseModel):
    """What came of a C-ECHO. `answers`: with success."""

    answers: bool
    address: str
    milliseconds: int
    status: str = Field(description="Hexadecimal; empty where none came.")
    failure: str
    implementation_class_uid: str
    implementation_version: str
    max_pdu: int | None = Field(description="Bytes; 0: any length.")


class ProbeAsked(BaseModel):
    """What is asked for: the usual storage SOP classes, or every one."""

    every_class: bool = False


class ProbeAnswer(BaseModel):
    """Transfer syntax UIDs that it takes, by SOP class UID, and services; both empty where it does not answer."""

    answers: bool
    address: str
    milliseconds: int
    failure: str
    services: dict[str, bool]
    classes: dict[str, list[str]]


@router.get("", summary="The destinations in force")
def listing(flow: TheFlow, person: Looks) -> list[DestinationItem]:
    """In the order of the site."""
    return [DestinationItem.of(seen) for seen in overview.overview(flow)]


@router.get("/{name:path}", summary="One destination")
def one(flow: TheFlow, person: Looks, name: Name) -> DestinationDetail:
    """404 for none."""
    story = overview.story(flow, name)
    item = DestinationItem.of(story.seen).model_dump()
    warned = [AnswerItem.of(row) for row in story.warned]
    return DestinationDetail(**item, warned=warned, events=[Happened.model_validate(row) for row in story.events])


@router.post("/{name:path}/echo", summary="Does it answer?")
def echo(flow: TheFlow, person: Asks, name: Name) -> EchoAnswer:
    """C-ECHO. 422 for one outside of `web.destination_networks`."""
    asked = asking.echo(flow, person, name)
    said = asked.said
    return EchoAnswer(
        answers=said is not None and said.status == 0,
        address=_address(asked.at),
        milliseconds=round(asked.seconds * 1000),
        status="" if said is None else f"{said.status:04X}",
        failure=asked.failure,
        implementation_class_uid=said.answered.implementation_class_uid if said else "",
        implementation_version=said.answered.implementation_version if said else "",
        max_pdu=said.answered.max_pdu if said else None,
    )


@router.post("/{name:path}/probe", summary="What does it take?")
def probe(flow: TheFlow, person: Asks, name: Name, what: ProbeAsked) -> ProbeAnswer:
    """Asked by presentation contexts; nothing is sent. 422 for one outside of `web.destination_networks`."""
    asked = asking.probe(flow, person, name, ALL_CLASSES if what.every_class else USUAL_CLASSES)
    return ProbeAnswer(
        answers=asked.said is not None,
        address=_address(asked.at),
        milliseconds=round(asked.seconds * 1000),
        failure=asked.failure,
        services=asked.said.services if asked.said else {},
        classes=asked.said.classes if asked.said else {},
    )


@router.post("/{name:path}/pause", summary="Send nothing to it, from any node")
def pause(flow: TheFlow, person: Operates, name: Name, why: Reason) -> Changed:
    """The instance on the wire is the last."""
    return Changed(changed=pausing.pause(flow, person, name, why.reason))


@router.post("/{name:path}/resume", summary="Send to it again")
def resume(flow: TheFlow, person: Operates, name: Name) -> Changed:
    """One that is down is tried now."""
    return Changed(changed=any(pausing.resume(flow, person, name)))


def _address(at: Destination) -> str:
    return f"[{at.host}]:{at.port}" if ":" in at.host else f"{at.host}:{at.port}"
