"""The composition root: settings in, a running node out. The only place that builds things."""

import secrets
import threading
import time
from collections.abc import Sequence
from functools import partial

from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from dicomnode import __version__
from dicomnode.audit.boot import note_start
from dicomnode.audit.copies import copier
from dicomnode.audit.copies.copier import Copier
from dicomnode.audit.events import record
from dicomnode.audit.sealer import Sealer
from dicomnode.complete.facts import instance_facts
from dicomnode.db import migrate
from dicomnode.db.database import Database
from dicomnode.db.database import now as database_now
from dicomnode.db.patience import Patience
from dicomnode.db.refusal import refused
from dicomnode.db.repositories import associations
from dicomnode.deliver.backoff import Backoff
from dicomnode.deliver.destination import Destination, Timeouts
from dicomnode.deliver.dispatcher import Dispatcher
from dicomnode.deliver.sender import Sender
from dicomnode.deliver.takeover import release_own
from dicomnode.desk.accounts import sweep as accounts_sweep
from dicomnode.desk.accounts.accounts import why_not_open
from dicomnode.desk.live import Live, LoopState, ReceiverState
from dicomnode.desk.rules.replaying.loop import Replayer
from dicomnode.domain.tls import TlsUnusable
from dicomnode.enhance.decode import Decoder
from dicomnode.enhance.folder_stamp import Watch, stamp
from dicomnode.enhance.registry import Registry
from dicomnode.enhance.runner import Engine
from dicomnode.flow import Flow, complete_due, foresee, run_job, take_in
from dicomnode.flow.commitment.confirming import Confirmer
from dicomnode.flow.commitment.telling import Voucher
from dicomnode.flow.completing.gathering import Gathered
from dicomnode.flow.delivering.transcoding import transcoder
from dicomnode.flow.enhancing.staging import sweep_staging
from dicomnode.flow.head_start.pastime import HeadStart
from dicomnode.flow.outdated.rejecting import note_outdated
from dicomnode.flow.upkeep.comparison import same_pixels
from dicomnode.flow.upkeep.estates import Estates
from dicomnode.flow.upkeep.membership import BEATS_PER_LEASE, CannotEnter, Membership, Superseded
from dicomnode.flow.upkeep.retention import retain
from dicomnode.flow.upkeep.timers import mend_timers
from dicomnode.jobs import ledger
from dicomnode.jobs.ledger import RetryPolicy
from dicomnode.jobs.local import LocalWorkers
from dicomnode.jobs.worker import Held, Worker, WorkerLimits
from dicomnode.observe import Loop, in_short, log
from dicomnode.receive.launch import Launch
from dicomnode.receive.ports import Addresses
from dicomnode.receive.receivers import Receivers, process_count
from dicomnode.receive.supervisor import Death, NotServing
from dicomnode.receive.tenancy import StillThere
from dicomnode.settings import Settings
from dicomnode.store.header import silence_pydicom
from dicomnode.store.index import Applied, Indexer
from dicomnode.store.lock import StoreLock, StoreTaken, store_name
from dicomnode.store.sweep import sweep_dead

DRAIN_SECONDS = 10.0
RETENTION_SECONDS = 60.0
OTHERS_AFTER = 2.0
"""Seconds after which this node reaps leases of other nodes' workers: who started a worker that hangs is to end it."""
TIMERS_SECONDS = 10.0
SELDOM_SECONDS = 0.5
"""The sweep asks as often whether leases ran out and whether pipelines changed; what falls due by the clock, always."""


class CannotStart(Exception):
    """The node cannot run as it is set up; the message says what to do."""


def build_flow(settings: Settings) -> Flow:
    """The flow over its database; what commands work with. Does not touch the schema."""
    silence_pydicom()
    return Flow(open_database(settings), settings, load_registry(settings))


def open_database(settings: Settings) -> Database:
    """The database that the settings name, waited for as long as they say."""
    times = settings.database
    patience = Patience(times.connect_timeout, times.statement_timeout, settings.node.lease_seconds)
    return Database(times.url, patience)


def load_registry(settings: Settings) -> Registry:
    """The bundled pipelines, the administrator's own, and those of installed packages."""
    return Registry.load([settings.pipelines.path])


class Node:
    """A running node: the receiver, the background loops, the senders and the workers."""

    def __init__(self, settings: Settings, worker_command: Sequence[str]) -> None:
        """`worker_command`: arguments for the Python interpreter that start a worker with these settings."""
        self.settings = settings
        self._pipelines = Watch(settings.pipelines.path)
        self.flow = build_flow(settings)
        boot = secrets.token_hex(8)
        self._lock = _lock(settings, boot, alone=self.flow.database.is_sqlite)
        self.membership = Membership(
            self.flow.database, self.flow.node, boot, store_name(self.flow.root), settings.node.lease_seconds
        )
        self.superseded = threading.Event()
        """Set when another process works under this node's name: this one must end."""
        self.decoder = Decoder()
        self._draining = False
        self._addresses = Addresses.of(settings.dicom)
        self._receivers = Receivers(
            Launch.of(settings, DRAIN_SECONDS),
            self._addresses,
            process_count(settings.dicom.processes),
            changed=self._receivers_changed,
            died=self._receiver_died,
        )
        self._estates = Estates(self.flow, self.membership)
        self._gathered = Gathered(self.flow)
        self._reap_from = self._seldom_from = time.monotonic()
        self._indexer = Indexer(
            settings.store.root,
            settings.node.name,
            self.flow.database,
            partial(take_in, self.flow),
            partial(same_pixels, self.flow, self.decoder),
            trusted=self._receivers.trusted,
            looks_after=self.membership.looks_after,
            foresee=partial(foresee, self.flow),
        )
        self._alive_loop = Loop("alive", settings.node.lease_seconds / BEATS_PER_LEASE, self._give_sign_of_life)
        self._index_loop = Loop("index", 0.1, self._index)
        self._sweep_loop = Loop("sweep", 0.1, self._sweep)
        self._sealer = Sealer.of(settings, self.flow.database)
        self._seal_loop = Loop("seal", settings.audit.seal_seconds, self._sealer.turn)
        self._others = [
            Loop("retention", RETENTION_SECONDS, lambda: retain(self.flow).series > 0),
            Voucher(self.flow),
            Loop("reject", 1.0, lambda: note_outdated(self.flow)),
            Confirmer(self.flow),
            Loop("timers", TIMERS_SECONDS, lambda: mend_timers(self.flow)),
            Replayer(self.flow),
            Loop("accounts", accounts_sweep.SECONDS, lambda: accounts_sweep.sweep(self.flow)),
        ]
        """Loops that anything may be added to: each turn is a transaction, or several, that any node may make."""
        self._copier = Copier.of(settings, self.flow.database)
        if self._copier is not None:
            self._others.append(Loop("copies", copier.SECONDS, self._copier.turn))
        self._dispatcher = Dispatcher(self._destinations, self._sender)
        self._workers = LocalWorkers(settings.node.name, devices_of(settings), worker_command, self._worker_died)

    @property
    def listening(self) -> bool:
        """Whether every receiving process takes associations."""
        return self._receivers.serving and not self._draining

    def live(self) -> Live:
        """Its processes and threads at this moment."""
        loops = (self._alive_loop, self._index_loop, self._sweep_loop, self._seal_loop, *self._others)
        return Live(
            listening=self.listening,
            listens_on=str(self._addresses),
            receivers=[ReceiverState(number, *state) for number, state in enumerate(self._receivers.states, 1)],
            loops=[LoopState(loop.name, loop.is_alive(), loop.trouble) for loop in loops],
            workers=self._workers.names,
            workers_alive=self._workers.alive(),
            backlog=self._receivers.backlog.size,
            refusal=self._receivers.backlog.refusal() or "",
        )

    def start(self) -> None:
        """Migrate, take over what an earlier life left, then listen.

        Raises CannotStart, CannotListen and database errors.
        """
        migrate.upgrade(self.flow.database)
        if problem := why_not_open(self.flow):
            raise CannotStart(problem)
        try:
            self.membership.enter(self._lock.earlier)
            self._lock.settle()
            self._alive_loop.start()
            self._receivers.wait_for_orphans()
            self._recover()
            self._receivers.start()
        except (CannotEnter, StillThere, TlsUnusable, NotServing) as error:
            raise CannotStart(str(error)) from error
        for loop in (self._index_loop, self._sweep_loop, self._seal_loop, *self._others):
            loop.start()
        self._workers.start()
        self._dispatcher.start()
        with self.flow.database.write() as session:
            note_start(session, self.settings, f"dicomnode {__version__} listens on {self._addresses}", __version__)
        log.info("listening", ae_title=self.settings.dicom.ae_title, where=str(self._addresses))

    def stop(self) -> None:
        """Drain: refuse new associations, index what came, give running work back, finish instances on the wire."""
        self._draining = True
        self._receivers.stop()
        workers = threading.Thread(target=self._workers.stop, args=(DRAIN_SECONDS,))
        workers.start()
        self._dispatcher.stop(DRAIN_SECONDS)
        workers.join()
        for loop in (*self._others, self._index_loop, self._sweep_loop):
            loop.stop()
        self._alive_loop.stop()
        self._seal_loop.stop()
        self._last_words()
        self.decoder.close()
        self.flow.database.close()
        self._lock.release()

    def _recover(self) -> None:
        sweep_dead(self.settings.store.root, self.settings.node.name)
        with self.flow.database.write() as session:
            release_own(session, self.settings.store.root, self.settings.node.name)
            prefix = f"{self.settings.node.name}/"
            ledger.node_restarted(session, prefix, self._retry(), self.settings.node.name)
        self._indexer.run()
        self._indexer.try_set_aside()
        with self.flow.database.write() as session:  # only now is it known which associations had been opened
            associations.close_leftovers(session, self.settings.node.name, database_now(session))
        sweep_staging(self.flow)

    def _last_words(self) -> None:
        try:
            opened = self._estates.open()
            self._indexer.run()
            self._estates.settle(opened)
            with self.flow.database.write() as session:
                self._note(session, "node.stopped", "told to stop; drained")
                self.membership.leave(session)
            self._sealer.finish()
            if self._copier is not None:
                self._copier.stop()
        except Exception as error:  # the database may be the reason for stopping; containers keep what it lacks
            log.warning("stopped without the database", error=in_short(error))

    def _give_sign_of_life(self) -> bool:
        try:
            if self.membership.beat():
                self._index_loop.ring()
        except Superseded as error:
            log.error("this process ends", reason=str(error))
            self.superseded.set()
        return False

    def _index(self) -> bool:
        applied, backlog = Applied(), self._receivers.backlog
        opened = self._estates.open()
        if opened.nodes:
            self._indexer.read_offsets_again()
        backlog.run_begins(applied)
        try:
            self._indexer.run(applied)
        except Exception:
            backlog.run_failed()
            raise
        backlog.run_ended()
        self._estates.settle(opened)
        self._indexer.try_one_set_aside()
        if applied.members:
            self._sweep_loop.ring()
        return False

    def _sweep(self) -> bool:
        try:
            return self._sweep_now()
        except DBAPIError as error:
            if not refused(error):  # workers could not renew their leases either: they come first when it is back
                self._reap_from = time.monotonic() + self.settings.engine.lease_seconds / 2
            raise

    def _sweep_now(self) -> bool:
        if time.monotonic() >= self._seldom_from:
            self._seldom_from = time.monotonic() + SELDOM_SECONDS
            self._reap()
            self._pipelines.on_change(self._read_pipelines_again)
        completed = complete_due(self.flow, self._gathered)
        self._gathered.gather()
        return bool(completed)

    def _read_pipelines_again(self) -> None:
        self.flow.registry = load_registry(self.settings)
        log.info("pipelines were read again")

    def _reap(self) -> None:
        with self.flow.database.read() as session:
            overdue = ledger.anything_to_reap(session, self.flow.node, OTHERS_AFTER)
        if overdue and time.monotonic() > self._reap_from:
            with self.flow.database.write() as session:
                hanging = ledger.reap(session, self._retry(), self.flow.node, OTHERS_AFTER)
            for name in hanging:
                self._workers.kill(name)

    def _receivers_changed(self) -> None:
        self._receivers.backlog.progressed()
        self._index_loop.ring()

    def _receiver_died(self, death: Death) -> None:
        self._estates.receiver_died(death)
        self._index_loop.ring()

    def _worker_died(self, worker: str, reason: str) -> int:
        with self.flow.database.write() as session:
            failed = ledger.worker_died(session, worker, reason, self._retry(), self.settings.node.name)
        sweep_staging(self.flow)
        return failed

    def _retry(self) -> RetryPolicy:
        return retry_policy(self.settings)

    def _destinations(self) -> Sequence[Destination]:
        with self.flow.database.read() as session:
            _, site = self.flow.site.get(session)
        associations = self.settings.delivery.associations
        return [Destination.of(each, self.settings.tls, associations) for each in site.destinations if each.enabled]

    def _sender(self, destination: Destination) -> Sender:
        delivery = self.settings.delivery
        return Sender(
            destination,
            self.flow.database,
            self.settings.store.root,
            calling_aet=self.settings.dicom.ae_title,
            node=self.settings.node.name,
            backoff=Backoff(delivery.backoff_first, delivery.backoff_cap),
            timeouts=timeouts_of(self.settings),
            transcode=transcoder(self.decoder),
            lease_seconds=delivery.lease_seconds,
            refused_seconds=delivery.refused_seconds,
        )

    def _note(self, session: Session, kind: str, message: str) -> None:
        record(session, kind, message, node=self.settings.node.name, detail={"version": __version__})


def build_worker(settings: Settings, device: str, name: str) -> Worker:
    """A worker process's own half: the same flow, one device, one warm engine."""
    pipelines = stamp(settings.pipelines.path)
    flow = build_flow(settings)
    engine = Engine(flow.registry, device, instance_facts=instance_facts)
    decoder = Decoder()

    def run(held: Held) -> None:
        run_job(flow, engine, decoder, held)

    engine_settings = settings.engine
    lease, longest = engine_settings.lease_seconds, engine_settings.max_seconds
    limits = WorkerLimits(lease, longest, retry_policy(settings), engine_settings.off_peak_hours)

    def outdated() -> bool:
        return stamp(settings.pipelines.path) != pipelines

    head_start = HeadStart(flow, engine, decoder, name)
    return Worker(name, settings.node.name, flow.database, run, limits, outdated, head_start.turn)


def devices_of(settings: Settings) -> list[str]:
    """The device slots of this node. "auto" is one worker, which takes the first CUDA device or the CPU."""
    return ["auto"] if settings.engine.devices == "auto" else list(settings.engine.devices)


def retry_policy(settings: Settings) -> RetryPolicy:
    """How often work is tried, from the settings."""
    return RetryPolicy(settings.engine.max_attempts, settings.engine.retry_seconds)


def timeouts_of(settings: Settings) -> Timeouts:
    """How long a destination is waited for, from the settings."""
    return Timeouts(connect=settings.delivery.connect_timeout, dimse=settings.delivery.response_timeout)


def _lock(settings: Settings, boot: str, *, alone: bool) -> StoreLock:
    try:
        return StoreLock(settings.store.root, settings.node.name, boot, alone=alone)
    except StoreTaken as error:
        raise CannotStart(str(error)) from error
