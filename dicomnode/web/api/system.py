"""The machine room, and the stop switch, for programs."""

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from dicomnode.desk import switch
from dicomnode.desk import system as desk
from dicomnode.desk.person import Person
from dicomnode.domain.roles import Permission
from dicomnode.flow import Flow
from dicomnode.web.access.gate import allow
from dicomnode.web.running import TheFlow, TheNode

router = APIRouter(prefix="/api/v1", tags=["system"])
Looks = Annotated[Person, allow(Permission.STATUS)]
Switches = Annotated[Person, allow(Permission.SWITCH)]


class _Item(BaseModel):
    model_config = ConfigDict(from_attributes=True)


class DiskItem(_Item):
    """The file system of the store, in bytes. Below `refuses_below` nothing is received (A700)."""

    path: str
    total: int
    free: int
    refuses_below: int
    keeps_free: int


class DatabaseItem(_Item):
    """`url` without password; `size` in bytes."""

    url: str
    version: str
    size: int
    milliseconds: float = Field(description="A trivial statement, there and back.")
    schema_revision: str = Field(validation_alias="schema")
    schema_needed: str


class InHandItem(_Item):
    """How many of each a node has in hand: open associations, running jobs, deliveries being sent, modalities'
    requests for storage commitment."""

    associations: int
    jobs: int
    deliveries: int
    requests: int


class NodeItem(_Item):
    """A node on this database: `alive`, `stopped` or `silent`, and what it has in hand."""

    name: str
    state: str
    version: str
    started_at: datetime
    seen_at: datetime
    taken_by: str
    has: InHandItem


class ReceiverItem(_Item):
    """A receiving process of this node."""

    number: int
    state: str
    associations: int


class LoopItem(_Item):
    """A background loop of this node; `trouble` is what its last turn failed with."""

    name: str
    alive: bool
    trouble: str


class LiveItem(_Item):
    """This node's processes and threads. `refusal` says why nothing more is accepted."""

    listening: bool
    listens_on: str
    receivers: list[ReceiverItem]
    loops: list[LoopItem]
    workers_alive: int
    backlog: int
    refusal: str


class WorkerJobItem(_Item):
    """What a worker is at."""

    id: int
    pipeline: str
    stage: str
    started_at: datetime | None


class WorkerItem(_Item):
    """A worker, and its job."""

    name: str
    device: str
    job: WorkerJobItem | None


class ChainItem(_Item):
    """The newest link of the audit chain."""

    seq: int
    hash: str
    at: datetime
    unsealed: int


class CertificateItem(_Item):
    """A certificate that the node shows, under the setting that names it."""

    setting: str
    until: datetime
    warning: str


class SystemItem(_Item):
    """All of it, at one moment. `settings` and `versions` are pairs of name and value; secrets are masked.

    `settings` is empty for who may not see settings.
    """

    now: datetime
    node: str
    disk: DiskItem | None
    database: DatabaseItem
    nodes: list[NodeItem]
    live: LiveItem
    workers: list[WorkerItem]
    chain: ChainItem | None
    certificates: list[CertificateItem]
    certificate_trouble: str
    versions: list[tuple[str, str]]
    settings: list[tuple[str, str]]


class SwitchItem(BaseModel):
    """The stop switch: whether enhancing is stopped, since when, by whom and why."""

    stopped: bool
    by: str = ""
    reason: str = ""
    since: datetime | None = None


class SwitchChange(BaseModel):
    """How the switch shall stand."""

    stopped: bool
    reason: str = Field("", max_length=500, description="Why; others will read it.")


@router.get("/system", summary="Disk, database, nodes, processes, versions, settings")
def system(person: Looks, node: TheNode) -> SystemItem:
    """Secrets are masked."""
    return SystemItem.model_validate(desk.system(node.flow, node.live(), person))


@router.get("/system/check-up", summary="The doctor's quick look")
def check_up(person: Looks, node: TheNode) -> list[dict[str, Any]]:
    """What it stands on; no stored byte is read and nothing is repaired."""
    return [found.to_json() for found in desk.check_up(node.flow, node.live())]


@router.get("/switch", summary="Whether enhancing is stopped")
def read_switch(person: Looks, flow: TheFlow) -> SwitchItem:
    """On all nodes alike."""
    return _switch(flow)


@router.put("/switch", summary="Stop all enhancing, or let it go on; originals flow")
def set_switch(person: Switches, flow: TheFlow, change: SwitchChange) -> SwitchItem:
    """Setting it as it stands changes nothing: who stopped it first, and why, stays."""
    if change.stopped:
        switch.stop(flow, person, change.reason.strip())
    else:
        switch.start(flow, person)
    return _switch(flow)


def _switch(flow: Flow) -> SwitchItem:
    row = switch.stopped(flow)
    return (
        SwitchItem(stopped=False)
        if row is None
        else SwitchItem(stopped=True, by=row.by, reason=row.reason, since=row.since)
    )
