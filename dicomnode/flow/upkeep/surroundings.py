"""What a node stands on: its folder, its clock, its database, its port, its pipelines and device, its peers."""

import importlib.util
import platform
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from dicomnode.db.database import now as database_now
from dicomnode.db.repositories import holds, nodes
from dicomnode.deliver.destination import Destination, Timeouts
from dicomnode.deliver.outcome import AssociationFailed, FailureKind
from dicomnode.deliver.scu import echo
from dicomnode.domain.finding import Finding, Severity
from dicomnode.domain.site import Enhancement
from dicomnode.enhance.errors import EnhanceError, ParamsRefused
from dicomnode.flow.context import Flow
from dicomnode.jobs.waiting import hold_words
from dicomnode.settings import DicomSettings, StoreSettings
from dicomnode.store import disk_check

_GIB = 1 << 30
_FEW_INODES = 10_000
_CLOCK_TOLERANCE = timedelta(seconds=5)
_LET_GO_ON = {
    holds.ENHANCING: "`dicomnode enhancing start`",
    holds.JOBS: "`dicomnode jobs resume`, with the same --pipeline if one was named",
    holds.DESTINATION: "`dicomnode destinations resume {name}`",
}
_PATIENCE = Timeouts(connect=5.0, acse=5.0, dimse=5.0)


def surroundings(
    flow: Flow, *, running: bool, site: bool = True, peers: bool = False, devices: bool = True
) -> Iterator[Finding]:
    """Findings about everything but the stored instances.

    `site`: the database can be asked for destinations and rules. `peers`: ask every enabled destination for a C-ECHO.
    `devices`: open what the settings name to compute on, which loads torch into this process.
    """
    yield from folder(flow.settings.store)
    yield from _clock(flow)
    yield from _pipelines(flow)
    if devices:
        yield from _devices(flow)
    if running:
        yield from _port(flow.settings.dicom)
    if site:
        yield from nodes_that_fell_silent(flow)
        yield from rules_without_pipeline(flow)
        yield from _held(flow)
    if site and peers:
        yield from _destinations(flow)


def folder(store: StoreSettings) -> Iterator[Finding]:
    """The store's folder: who may look into it, what it lies on, how much room there is."""
    root = store.root
    subject = f"folder:{root}"
    if not root.is_dir():
        way_out = "set store.root; `dicomnode serve` makes the folder at its first start"
        yield Finding("folder.absent", subject, Severity.ERROR, "the store's folder is not there", way_out)
        return
    if disk_check.open_to_others(root):
        message = "other users of this machine may look into the store"
        yield Finding("folder.open", subject, Severity.WARNING, message, f"chmod 700 {root}")
    kind = disk_check.file_system(root)
    if kind in disk_check.UNFIT:
        message = f"the store lies on {kind}: {disk_check.UNFIT[kind]}"
        yield Finding("folder.file_system", subject, Severity.WARNING, message, "set store.root to a local disk")
    yield from _room(store, subject)


def _room(store: StoreSettings, subject: str) -> Iterator[Finding]:
    free, inodes = disk_check.free_bytes(store.root), disk_check.free_inodes(store.root)
    has = f"{free / _GIB:.1f} GiB are free"
    way_out = "make room, or set store.retention_days or store.keep_free_gb"
    if free < store.min_free_gb * _GIB:
        message = f"{has}, and below {store.min_free_gb:g} every C-STORE is refused (A700)"
        yield Finding("folder.full", subject, Severity.ERROR, message, way_out)
    elif free < 2 * store.min_free_gb * _GIB:
        message = f"{has}; below {store.min_free_gb:g} every C-STORE is refused (A700)"
        yield Finding("folder.filling", subject, Severity.WARNING, message, way_out)
    if inodes is not None and inodes < _FEW_INODES:
        message = f"only {inodes} files can still be made"
        yield Finding("folder.inodes", subject, Severity.WARNING, message, "make room for files")


def _clock(flow: Flow) -> Iterator[Finding]:
    with flow.database.read() as session:
        apart = abs(database_now(session) - datetime.now(UTC))
    if apart > _CLOCK_TOLERANCE:
        message = f"this machine's clock and the database's are {apart.total_seconds():.0f} s apart"
        yield Finding("clock", "database", Severity.WARNING, message, "keep both by NTP: due times are compared")


def nodes_that_fell_silent(flow: Flow) -> Iterator[Finding]:
    """Nodes on this database that fell silent; one that said goodbye is none of them."""
    with flow.database.read() as session:
        dead = nodes.dead(session, flow.settings.node.lease_seconds)
    for row in dead:
        heir = f"{row.taken_by} looks after what it left" if row.taken_by else "no node has taken over what it left"
        since = f"since {row.seen_at:%Y-%m-%d %H:%M:%S} UTC" if row.boot else "and never was on this database"
        message = f"it gives no sign of life {since}; {heir}"
        way_out = "start it again; if it is gone for good, nothing is to be done while another node runs"
        yield Finding("node.silent", f"node:{row.name}", Severity.INFO, message, way_out)


def _pipelines(flow: Flow) -> Iterator[Finding]:
    for name, error in flow.registry.broken().items():
        yield Finding(
            "pipeline.broken", f"pipeline:{name}", Severity.WARNING, f"it cannot be used: {error}", "mend its file"
        )


def rules_without_pipeline(flow: Flow) -> Iterator[Finding]:
    """Live rules whose pipeline cannot be used: their series get originals alone."""
    with flow.database.read() as session:
        _, site = flow.site.get(session)
    for rule in site.rules:
        if rule.state != "live" or rule.enhance is None:
            continue
        if why := _why_unusable(flow, rule.enhance):
            message = f"it asks for pipeline {rule.enhance.pipeline}, which cannot be used: {why}; originals only"
            way_out = "mend or install the pipeline, or change the rule"
            yield Finding("rule.pipeline", f"rule:{rule.name}", Severity.ERROR, message, way_out)


def _why_unusable(flow: Flow, asked: Enhancement) -> str:
    entry = flow.registry.get(asked.pipeline)
    if entry is None or not entry.usable:
        return entry.error if entry else "it is not installed"
    try:
        entry.params(asked.params)
    except ParamsRefused as error:
        return f"its parameters are refused: {error}"
    return ""


def _held(flow: Flow) -> Iterator[Finding]:
    """What operators have stopped, lest it be forgotten."""
    with flow.database.read() as session:
        held = holds.listing(session)
    for row in held:
        subject = f"{row.kind}:{row.name}" if row.name else row.kind
        yield Finding("held", subject, Severity.WARNING, hold_words(row), _LET_GO_ON[row.kind].format(name=row.name))


def _devices(flow: Flow) -> Iterator[Finding]:
    """Torch is loaded only where the settings name CUDA devices: all others work on any machine that has torch."""
    if importlib.util.find_spec("torch") is None:
        message = f"Python {platform.python_version()} finds no torch: nothing can be enhanced"
        yield Finding("device", "engine", Severity.ERROR, message, "install torch for this Python")
        return
    wanted = flow.settings.engine.devices
    if wanted == "auto" or all(name == "cpu" for name in wanted):
        return
    from dicomnode.enhance.device import open_device

    for name in wanted:
        try:
            open_device(name)
        except EnhanceError as error:
            yield Finding("device", f"device:{name}", Severity.ERROR, str(error), "set engine.devices")


def _port(dicom: DicomSettings) -> Iterator[Finding]:
    """Whether the running node answers. A node that turns us away does: that is what its settings say."""
    if dicom.tls is not None and dicom.tls.only:
        return  # without a certificate of a peer's nothing can be said of it
    host = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(dicom.host, dicom.host)  # noqa: S104
    itself = Destination("the node itself", dicom.ae_title, host, dicom.port)
    known_title = next(iter((*dicom.echo_only_aets, *dicom.allowed_calling_aets)), dicom.ae_title)
    failure = _echo(itself, known_title)
    if failure is not None and failure.kind not in (FailureKind.REJECTED, FailureKind.CONFIGURATION):
        message = f"the node runs, but {itself} does not answer a C-ECHO: {failure.reason}"
        yield Finding("port", f"port:{dicom.port}", Severity.ERROR, message, "see the node's log; start it again")


def _destinations(flow: Flow) -> Iterator[Finding]:
    with flow.database.read() as session:
        _, site = flow.site.get(session)
    for entry in site.destinations:
        if not entry.enabled:
            continue
        destination = Destination.of(entry, flow.settings.tls)
        failure = _echo(destination, flow.settings.dicom.ae_title)
        if failure is not None:
            message = f"{destination} does not answer a C-ECHO: {failure.reason}"
            way_out = "what waits for it goes out once it answers; check its address, AE title and that it knows ours"
            yield Finding("destination", f"destination:{entry.name}", Severity.ERROR, message, way_out)


def _echo(destination: Destination, calling_aet: str) -> AssociationFailed | None:
    try:
        status = echo(destination, calling_aet, timeouts=_PATIENCE)
    except AssociationFailed as failure:
        return failure
    if status:
        return AssociationFailed(FailureKind.PROTOCOL, f"it answers with {status:04X}", transient=False)
    return None
