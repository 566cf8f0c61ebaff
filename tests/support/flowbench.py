"""The whole flow in one process, without network and clocks: instances in, committed outputs and deliveries out."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from io import BytesIO
from pathlib import Path

from pydicom import Dataset, dcmread
from sqlalchemy import select, update
from support.databases import new_database

from dicomnode.complete.facts import instance_facts
from dicomnode.db.models import AuditEvent, Delivery, DeliveryItem, Enhancement, Instance, Output, RuleDecision, Series
from dicomnode.db.repositories import site as site_rows
from dicomnode.domain.instance import Location, Receipt
from dicomnode.enhance.decode import Decoder
from dicomnode.enhance.registry import Registry
from dicomnode.enhance.runner import Engine
from dicomnode.flow import Flow, complete_due, foresee, run_job, take_in
from dicomnode.flow.head_start.pastime import HeadStart
from dicomnode.flow.upkeep.comparison import same_pixels
from dicomnode.jobs.ledger import RetryPolicy
from dicomnode.jobs.worker import Worker, WorkerLimits
from dicomnode.route.site_document import read_site
from dicomnode.settings import Settings, StoreSettings
from dicomnode.store.index import Indexer
from dicomnode.store.journal import Journal
from dicomnode.store.part10 import fingerprint
from dicomnode.store.reading import read_bytes

_SITE = """
destinations:
  - {name: pacs, kind: dimse, ae_title: PACS, host: 127.0.0.1, port: 104}
  - {name: archive, kind: dimse, ae_title: ARCHIVE, host: 127.0.0.1, port: 105}
rules:
"""


class FlowBench:
    """A node without its processes. `rules` is the YAML list under `rules:`."""

    def __init__(self, root: Path, rules: str = "  []", pipelines: str = "") -> None:
        self.root = root
        settings = Settings(store=StoreSettings(root=root / "store", min_free_gb=0))
        folder = root / "pipelines"
        folder.mkdir(parents=True)
        if pipelines:
            (folder / "own.py").write_text(pipelines, encoding="utf-8")
        self.flow = Flow(new_database(root), settings, Registry.load([folder]))
        self.import_site(rules)
        self.journal = Journal(settings.store.root, "n", "main", min_free_gb=0)
        self.decoder = Decoder()
        self.indexer = Indexer(
            settings.store.root,
            "n",
            self.flow.database,
            partial(take_in, self.flow),
            partial(same_pixels, self.flow, self.decoder),
            foresee=partial(foresee, self.flow),
        )
        engine = Engine(self.flow.registry, "cpu", instance_facts=instance_facts)
        limits = WorkerLimits(60, 600, RetryPolicy(max_attempts=2, retry_seconds=0))
        run = partial(run_job, self.flow, engine, self.decoder)
        self.head_starts = {name: HeadStart(self.flow, engine, self.decoder, name) for name in ("n/cpu/0", "n/cpu/1")}
        self.worker = Worker("n/cpu/0", "n", self.flow.database, run, limits)

    def import_site(self, rules: str) -> None:
        site = read_site(_SITE + rules, self.flow.registry.params_models())
        with self.flow.database.write() as session:
            site_rows.add(session, site.to_document(), "test", "", datetime.now(UTC))

    def receive(
        self, dataset: Dataset, calling_aet: str = "CT1", encoded: Callable[[bytes], bytes] = lambda data_set: data_set
    ) -> None:
        """`encoded`: what its sender makes of the data set that pydicom writes."""
        buffer = BytesIO()
        dataset.save_as(buffer, enforce_file_format=True)
        whole = buffer.getvalue()
        data_set = encoded(whole[144 + int.from_bytes(whole[140:144], "little") :])
        syntax = str(dataset.file_meta.TransferSyntaxUID)
        receipt = Receipt(
            sop_class_uid=str(dataset.SOPClassUID),
            sop_instance_uid=str(dataset.SOPInstanceUID),
            study_uid=str(dataset.StudyInstanceUID),
            series_uid=str(dataset.SeriesInstanceUID),
            transfer_syntax_uid=syntax,
            length=len(data_set),
            sha256=fingerprint(data_set, syntax),
            calling_aet=calling_aet,
            called_aet="DICOMNODE",
            peer="127.0.0.1",
            association="a-1",
            received_at=datetime.now(UTC).isoformat(timespec="milliseconds"),
        )
        self.journal.append(receipt, data_set)
        self.indexer.run()

    def receive_files(self, files: list[Path], calling_aet: str = "CT1") -> None:
        for file in files:
            self.receive(dcmread(file), calling_aet)

    def complete(self) -> int:
        """Let the quiet time pass, then sweep."""
        with self.flow.database.write() as session:
            past = datetime.now(UTC) - timedelta(seconds=1)
            session.execute(update(Series).where(Series.state == "receiving").values(due_at=past, wait_for_aet=""))
        return complete_due(self.flow)

    def work(self) -> int:
        """Run all jobs that are ready, in this process. Returns how many."""
        done = 0
        while self.worker.run_one():
            done += 1
        return done

    def ahead(self, worker: str = "n/cpu/0") -> int:
        """All that a worker's head start has to do for now. Returns its turns."""
        turns = 0
        while self.head_starts[worker].turn(lambda: False):
            turns += 1
        return turns

    def have_all_but(self, destination: str) -> None:
        """The destinations took everything that was to be delivered; this one has nothing yet."""
        having = select(Delivery.id).where(Delivery.destination != destination)
        sent = {"state": "sent", "attempts": 1}
        with self.flow.database.write() as session:
            session.execute(update(DeliveryItem).where(DeliveryItem.delivery_id.in_(having)).values(sent))
            session.execute(update(Delivery).where(Delivery.id.in_(having)).values(state="sent"))

    def read(self, output: Output) -> Dataset:
        location = Location(output.container, output.offset, output.length)
        return dcmread(BytesIO(read_bytes(self.flow.root, location)))

    def series(self) -> list[Series]:
        with self.flow.database.read() as session:
            return list(session.scalars(select(Series)))

    def enhancements(self) -> list[Enhancement]:
        with self.flow.database.read() as session:
            return list(session.scalars(select(Enhancement).order_by(Enhancement.id)))

    def outputs(self) -> list[Output]:
        with self.flow.database.read() as session:
            return list(session.scalars(select(Output).order_by(Output.id)))

    def decisions(self) -> list[RuleDecision]:
        with self.flow.database.read() as session:
            return list(session.scalars(select(RuleDecision).order_by(RuleDecision.id)))

    def deliveries(self) -> list[Delivery]:
        with self.flow.database.read() as session:
            return list(session.scalars(select(Delivery).order_by(Delivery.id)))

    def items(self) -> list[DeliveryItem]:
        with self.flow.database.read() as session:
            return list(session.scalars(select(DeliveryItem).order_by(DeliveryItem.id)))

    def instances(self) -> list[Instance]:
        with self.flow.database.read() as session:
            return list(session.scalars(select(Instance)))

    def events(self) -> list[str]:
        with self.flow.database.read() as session:
            return list(session.scalars(select(AuditEvent.kind).order_by(AuditEvent.id)))
