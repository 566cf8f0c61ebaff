"""The machine room: disk, database, nodes, processes, versions, settings; and the quick check-up."""

import platform
import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version

from sqlalchemy.orm import Session

from dicomnode import __version__
from dicomnode.db import migrate
from dicomnode.db.database import now as database_now
from dicomnode.db.models import Hold
from dicomnode.db.repositories import holds, today
from dicomnode.db.repositories import system as rows
from dicomnode.db.repositories.system import ChainHead
from dicomnode.db.repositories.today import Job
from dicomnode.desk.certificates import OwnCertificate, own_certificates
from dicomnode.desk.live import Live
from dicomnode.desk.nodes import NodeState, nodes
from dicomnode.desk.person import Person
from dicomnode.desk.pipelines import pipelines
from dicomnode.desk.settings_shown import masked, settings_shown
from dicomnode.domain.finding import Finding, Severity
from dicomnode.domain.roles import Permission
from dicomnode.domain.tls import TlsUnusable
from dicomnode.flow import Flow
from dicomnode.flow.upkeep.surroundings import surroundings

LIBRARIES = ("pydicom", "pynetdicom", "SQLAlchemy", "fastapi", "numpy", "torch", "psycopg")
_GIB = 1 << 30


@dataclass(frozen=True)
class Disk:
    """The file system of the store, in bytes. Below `refuses_below` nothing is received; `keeps_free`: retention."""

    path: str
    total: int
    free: int
    refuses_below: int
    keeps_free: int


@dataclass(frozen=True)
class DatabaseState:
    """`size` in bytes; `milliseconds` there and back; revisions of the schema.

    `url`: without password, or just which kind of database it is (`system`).
    """

    url: str
    version: str
    size: int
    milliseconds: float
    schema: str
    schema_needed: str


@dataclass(frozen=True)
class WorkerState:
    """A worker that this node keeps or that holds a job now; `job` is that job."""

    name: str
    device: str
    job: Job | None


@dataclass(frozen=True)
class System:
    """All of it, at one moment."""

    now: datetime
    node: str
    disk: Disk | None
    database: DatabaseState
    nodes: Sequence[NodeState]
    live: Live
    workers: Sequence[WorkerState]
    stopped: Hold | None
    chain: ChainHead | None
    certificates: Sequence[OwnCertificate]
    certificate_trouble: str
    versions: Sequence[tuple[str, str]]
    settings: Sequence[tuple[str, str]]


def system(flow: Flow, live: Live, person: Person) -> System:
    """The node as it is. Raises database errors; a store that is away is no disk.

    Settings, and where the database is, are for who may see settings: to anybody else they say where to go next.
    """
    sees_settings = person.may(Permission.SETTINGS)
    certificates, trouble = _certificates(flow)
    current = migrate.current(flow.database)
    with flow.database.read() as session:
        return System(
            now=database_now(session),
            node=flow.node,
            disk=_disk(flow),
            database=_database(session, flow, current or "none", sees_settings=sees_settings),
            nodes=nodes(session, flow.settings.node.lease_seconds),
            live=live,
            workers=_workers(session, live),
            stopped=holds.held(session, holds.ENHANCING),
            chain=rows.chain_head(session),
            certificates=certificates,
            certificate_trouble=trouble,
            versions=_versions(),
            settings=settings_shown(flow.settings) if sees_settings else (),
        )


def check_up(flow: Flow, live: Live) -> list[Finding]:
    """The doctor's quick look at what the node stands on, a few seconds at most: no stored byte is read, nothing is
    repaired, no device is opened and no destination asked."""
    return [*surroundings(flow, running=live.listening, devices=False), *refused_models(flow)]


def refused_models(flow: Flow) -> Iterator[Finding]:
    """Pipelines whose file is well, and whose weights are not: an error where a live rule asks for one."""
    for view in pipelines(flow):
        entry = flow.registry.get(view.name)
        if entry is not None and entry.usable and view.error:
            severity = Severity.ERROR if any(use.state == "live" for use in view.uses) else Severity.WARNING
            message, subject = f"it cannot be used: {view.error}", f"pipeline:{view.name}"
            way_out = "put the weights of its model card back, or import the model again"
            yield Finding("pipeline.broken", subject, severity, message, way_out)


def _disk(flow: Flow) -> Disk | None:
    store = flow.settings.store
    try:
        usage = shutil.disk_usage(store.root)
    except OSError:
        return None
    return Disk(str(store.root), usage.total, usage.free, int(store.min_free_gb * _GIB), int(store.keep_free_gb * _GIB))


def _database(session: Session, flow: Flow, current: str, *, sees_settings: bool) -> DatabaseState:
    began = time.perf_counter()
    rows.trivial(session)
    milliseconds = (time.perf_counter() - began) * 1000
    url = masked(flow.database.url) if sees_settings else flow.database.url.partition(":")[0]
    return DatabaseState(url, rows.version(session), rows.size(session), milliseconds, current, migrate.head() or "")


def _workers(session: Session, live: Live) -> list[WorkerState]:
    jobs = {job.worker: job for job in today.running(session, 200)}
    return [WorkerState(name, _device(name), jobs.get(name)) for name in sorted({*live.workers, *jobs})]


def _device(worker: str) -> str:
    """Workers are called NODE/DEVICE/NUMBER."""
    parts = worker.split("/")
    return parts[1] if len(parts) == 3 else ""


def _certificates(flow: Flow) -> tuple[list[OwnCertificate], str]:
    try:
        return list(own_certificates(flow.settings)), ""
    except (TlsUnusable, OSError, ValueError) as error:
        return [], str(error)


def _versions() -> list[tuple[str, str]]:
    found = [("dicomnode", __version__), ("Python", platform.python_version())]
    for name in LIBRARIES:
        try:
            found.append((name, version(name)))
        except PackageNotFoundError:
            continue
    return [*found, ("operating system", platform.platform())]
