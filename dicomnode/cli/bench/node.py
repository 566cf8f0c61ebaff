"""A node without its network and clocks, in a temporary folder: files in its store, a worker's job, derived files."""

import time
from collections.abc import Iterable
from datetime import UTC, datetime
from functools import partial
from io import BytesIO
from pathlib import Path

from pydicom import Dataset
from sqlalchemy import select

from dicomnode.cli.bench.timing import Timing, timed
from dicomnode.cli.common import fail
from dicomnode.db import migrate
from dicomnode.db.database import Database
from dicomnode.db.models import Enhancement, Output
from dicomnode.db.repositories import site as site_rows
from dicomnode.domain.instance import Receipt
from dicomnode.enhance.decode import Decoder
from dicomnode.enhance.registry import Registry
from dicomnode.enhance.runner import Engine
from dicomnode.flow import Flow, complete_due, run_job, take_in
from dicomnode.flow.upkeep.comparison import same_pixels
from dicomnode.jobs.ledger import RetryPolicy
from dicomnode.jobs.worker import Worker, WorkerLimits
from dicomnode.route.site_document import read_site
from dicomnode.settings import CompletionSettings, Settings, StoreSettings
from dicomnode.store.index import Indexer
from dicomnode.store.journal import Journal
from dicomnode.store.part10 import fingerprint

_META = 144
"""Preamble, prefix and the element that states the length of the file meta information (PS3.10 7.1)."""
_SECONDS_TO_COMPLETE = 60.0
_SITE = """
destinations:
  - {{name: nowhere, kind: dimse, ae_title: NOWHERE, host: 127.0.0.1, port: 104}}
rules:
  - name: bench
    state: live
    when: {{all: []}}
    enhance: {{pipeline: {pipeline}}}
    deliver_to: [nowhere]
"""


class BenchNode:
    """The parts of a node between its store and its derived containers, on a database of its own."""

    def __init__(self, root: Path, settings: Settings, registry: Registry, pipeline: str, engine: Engine) -> None:
        store = StoreSettings(root=root / "store", min_free_gb=0)
        quiet = CompletionSettings(quiet_seconds=0, grace_seconds=0)
        own = settings.model_copy(update={"store": store, "completion": quiet})
        self.flow = Flow(Database(f"sqlite:///{root}/bench.db"), own, registry)
        migrate.upgrade(self.flow.database)
        site = read_site(_SITE.format(pipeline=pipeline), registry.params_models())
        with self.flow.database.write() as session:
            site_rows.add(session, site.to_document(), "bench", "", datetime.now(UTC))
        self.decoder = Decoder()
        self._journal = Journal(store.root, self.flow.node, "bench", min_free_gb=0)
        take, compare = partial(take_in, self.flow), partial(same_pixels, self.flow, self.decoder)
        self._indexer = Indexer(store.root, self.flow.node, self.flow.database, take, compare)
        run = partial(run_job, self.flow, engine, self.decoder)
        limits = WorkerLimits(60, 3600, RetryPolicy(max_attempts=1, retry_seconds=0))
        self._worker = Worker("bench", self.flow.node, self.flow.database, run, limits)

    def close(self) -> None:
        self.decoder.close()
        self._journal.close()
        self.flow.database.close()

    def job(self, series: Iterable[Dataset]) -> tuple[Timing, str]:
        """Put one series into the store, then let the worker do its job; only that is on the clock.

        From the claim to the commit: reading and decoding the stored files, network and guards, the derived files in
        a synced container. Returns the verdict too. Fails with the reason when nothing was derived.
        """
        for dataset in series:
            self._store(dataset)
        self._indexer.run()
        self._complete()
        before = self._outputs()
        timing = timed(1, self._worker.run_one, after=self.decoder.close)
        with self.flow.database.read() as session:
            row = session.scalars(select(Enhancement).order_by(Enhancement.id.desc())).first()
        derived = self._outputs() - before
        if row is None or not derived:
            fail(f"the job gave no derived files to time: {row.reason if row else 'the pipeline declines the series'}")
        return Timing(derived, timing.wall, timing.cpu), row.verdict or ""

    def _store(self, dataset: Dataset) -> None:
        buffer = BytesIO()
        dataset.save_as(buffer, enforce_file_format=True)
        whole = buffer.getvalue()
        data_set = whole[_META + int.from_bytes(whole[_META - 4 : _META], "little") :]
        syntax = str(dataset.file_meta.TransferSyntaxUID)
        receipt = Receipt(
            sop_class_uid=str(dataset.SOPClassUID),
            sop_instance_uid=str(dataset.SOPInstanceUID),
            study_uid=str(dataset.StudyInstanceUID),
            series_uid=str(dataset.SeriesInstanceUID),
            transfer_syntax_uid=syntax,
            length=len(data_set),
            sha256=fingerprint(data_set, syntax),
            calling_aet="BENCH",
            called_aet="DICOMNODE",
            peer="127.0.0.1",
            association="bench",
            received_at=datetime.now(UTC).isoformat(timespec="milliseconds"),
        )
        self._journal.append(receipt, data_set)

    def _complete(self) -> None:
        until = time.monotonic() + _SECONDS_TO_COMPLETE
        while not complete_due(self.flow):
            if time.monotonic() > until:
                fail("the series did not become complete")
            time.sleep(0.05)

    def _outputs(self) -> int:
        with self.flow.database.read() as session:
            return len(session.scalars(select(Output.id)).all())
