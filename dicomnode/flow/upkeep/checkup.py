"""A node's check-up: surroundings, disk against index, and what repair can do about it.

With the node stopped everything that can be repaired is. Beside a running node only what is safe there: marks on rows
(each a conditional update) and files that nobody holds. Containers are then indexed by the node alone.
"""

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial

from dicomnode.audit.events import record
from dicomnode.db import migrate
from dicomnode.db.database import now as database_now
from dicomnode.db.repositories import retention, set_aside, stored
from dicomnode.domain.finding import Finding, Severity
from dicomnode.enhance.decode import Decoder
from dicomnode.flow.completing.arrival import take_in
from dicomnode.flow.completing.forwarding import foresee
from dicomnode.flow.context import Flow
from dicomnode.flow.enhancing.staging import staged_orphans, sweep_staging
from dicomnode.flow.upkeep.comparison import same_pixels
from dicomnode.flow.upkeep.retention import age_of, emptied
from dicomnode.flow.upkeep.surroundings import surroundings
from dicomnode.store.doctor import Doctor, OnProgress, Trouble
from dicomnode.store.index import Indexer
from dicomnode.store.repair import KINDS, finding, repair
from dicomnode.store.retention import remove_containers

_PASSES = 3


@dataclass(frozen=True)
class Wanted:
    """How far a check-up goes. `running`: whether any node works on the store meanwhile; `itself`: whether this one."""

    running: bool
    itself: bool = False
    repair: bool = False
    deep: bool = False
    peers: bool = False


def check_up(flow: Flow, wanted: Wanted, on_progress: OnProgress = lambda done, total: None) -> Iterator[Finding]:
    """All findings, repaired ones marked. Raises database errors, and OSError for a store that cannot be read."""
    current, head = migrate.current(flow.database), migrate.head()
    yield from surroundings(flow, running=wanted.itself, site=current == head, peers=wanted.peers)
    if current != head:
        way_out = "`dicomnode db upgrade`, or start the node: it does that by itself"
        message = f"the database is at schema {current or 'none'}, this version needs {head}: nothing else was checked"
        yield Finding("database.schema", "database", Severity.ERROR, message, way_out)
        return
    repaired: dict[str, int] = {}
    for found in _store(flow, wanted, on_progress):
        if found.repaired:
            repaired[found.kind] = repaired.get(found.kind, 0) + 1
        yield found
    if repaired:
        with flow.database.write() as session:
            message = f"the doctor repaired {sum(repaired.values())} troubles between disk and index"
            record(session, "store.repaired", message, node=flow.node, actor="doctor", detail=repaired)
    yield from _known(flow)
    yield from _held(flow)


def _store(flow: Flow, wanted: Wanted, on_progress: OnProgress) -> Iterator[Finding]:
    """One pass, and more of them while repairs uncover something: a lost instance may have a copy elsewhere."""
    told: list[Finding] = []
    for _ in range(_PASSES):
        news = [found for found in _pass(flow, wanted, on_progress) if found not in told]
        yield from news
        told += news
        if not any(found.repaired for found in news):
            break
        wanted = replace(wanted, deep=False)
    yield from _left_over(flow, wanted)


def _pass(flow: Flow, wanted: Wanted, on_progress: OnProgress) -> Iterator[Finding]:
    doctor = Doctor(flow.root, flow.database, flow.node, running=wanted.running, deep=wanted.deep)
    to_index: list[tuple[Trouble, Finding]] = []
    for trouble in doctor.look(on_progress):
        found = finding(trouble)
        if not _may_repair(trouble, wanted):
            yield found
            continue
        with flow.database.write() as session:
            done = repair(session, flow.root, trouble, flow.node)
        if done and not KINDS[trouble.kind].while_running:
            to_index.append((trouble, found))
        else:
            yield found.mended() if done else found
    if to_index:
        refused = _index(flow)
        for trouble, found in to_index:
            yield found if trouble.kind == "set_aside" and trouble.container in refused else found.mended()


def _may_repair(trouble: Trouble, wanted: Wanted) -> bool:
    return wanted.repair and (KINDS[trouble.kind].while_running or not wanted.running)


def _index(flow: Flow) -> Sequence[str]:
    """What the node's own indexer does at its start. Returns the containers of which something cannot be indexed."""
    with closing(Decoder()) as decoder:
        same = partial(same_pixels, flow, decoder)
        indexer = Indexer(
            flow.root, flow.node, flow.database, partial(take_in, flow), same, foresee=partial(foresee, flow)
        )
        indexer.run()
        indexer.try_set_aside()
    with flow.database.read() as session:
        return set_aside.containers(session)


def _left_over(flow: Flow, wanted: Wanted) -> Iterator[Finding]:
    """Files in which nothing is kept: of attempts that committed nothing, and of series that were given up."""
    if orphans := staged_orphans(flow):
        message = f"{len(orphans)} derived containers belong to no output: their worker was killed before its commit"
        found = Finding("store.orphans", "folder:derived", Severity.ERROR, message, "`dicomnode doctor --repair`")
        if wanted.repair:
            sweep_staging(flow)
        yield found.mended() if wanted.repair else found
    names = {name: offset for name, offset in emptied(flow).items() if (flow.root / name).exists()}
    if not names:
        return
    message = f"{len(names)} containers hold nothing but what retention gave up"
    found = Finding("store.given_up", "folder:containers", Severity.ERROR, message, "`dicomnode doctor --repair`")
    removed = remove_containers(flow.root, names) if wanted.repair else None
    if removed is not None:
        with flow.database.write() as session:
            retention.mark_removed(session, removed.names, database_now(session))
    yield found.mended() if removed is not None and len(removed.names) == len(names) else found


def _known(flow: Flow) -> Iterator[Finding]:
    """Losses that earlier check-ups marked: they stay known, and nothing more can be done."""
    with flow.database.read() as session:
        faults = stored.faults(session)
    for fault, count in sorted(faults.items()):
        message = f"{count} instances are known to be {fault}; `dicomnode series show` names their series"
        way_out = "ask their sender to send them again, or bring their containers back from a backup"
        yield Finding(f"store.known_{fault}", "store", Severity.INFO, message, way_out, detail={"count": count})


def _held(flow: Flow) -> Iterator[Finding]:
    """What retention would take, were it not for something open: often dead letters that nobody looks after."""
    if not flow.settings.store.retention_days:
        return
    with flow.database.read() as session:
        count = retention.held(session, database_now(session) - age_of(flow.settings.store))
    if count:
        message = f"{count} series are old enough for retention, but something of them is open, or somebody keeps them"
        way_out = "`dicomnode deliveries list --state failed` names dead letters"
        yield Finding("retention.held", "store", Severity.INFO, message, way_out, detail={"count": count})
