"""A node that delivers and asks for confirmation, without receiver, workers and loops: each turn is a call."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from pydicom import Dataset, dcmread
from sqlalchemy import select, update
from support.archive import Archive
from support.sendingbench import SendingBench
from support.series import make_ct_series

from dicomnode.db.database import Database
from dicomnode.db.models import (
    AuditEvent,
    Commitment,
    CommitmentReport,
    Delivery,
    DerivedSeriesRow,
    Enhancement,
    Series,
    Study,
)
from dicomnode.db.repositories import site as site_rows
from dicomnode.deliver.destination import Timeouts
from dicomnode.deliver.plan import Sendable, Subject, plan_delivery
from dicomnode.domain.instance import Location
from dicomnode.enhance.registry import Registry
from dicomnode.flow.commitment.confirming import confirm_due
from dicomnode.flow.context import Flow
from dicomnode.settings import ConfirmationSettings, DeliverySettings, NodeSettings, Settings, StoreSettings

QUICK = {
    "after_seconds": 0,
    "report_seconds": 30.0,
    "same_association_seconds": 60.0,
    "backoff_first": 0.001,
    "backoff_cap": 0.001,
}


class ConfirmingBench(SendingBench):
    """`pacs` is the destination, at the archive's port; `confirm` as in the site data; `settings` of confirmation."""

    def __init__(
        self, root: Path, database: Database, archive: Archive, *, confirm: str = "auto", **settings: Any
    ) -> None:
        super().__init__(root, database=database)
        self.archive = archive
        self.flow = Flow(
            database,
            Settings(
                node=NodeSettings(name="n"),
                store=StoreSettings(root=self.root, min_free_gb=0),
                delivery=DeliverySettings(connect_timeout=60.0, response_timeout=60.0),
                confirmation=ConfirmationSettings(**{**QUICK, **settings}),
            ),
            Registry({}),
        )
        self.set_site(confirm)

    def set_site(self, confirm: str = "auto", others: Sequence[dict[str, Any]] = (), **more: Any) -> None:
        """A new revision of the site data, with this one destination and, perhaps, others."""
        pacs = {"name": "pacs", "kind": "dimse", "ae_title": "ARCHIVE", "host": "127.0.0.1", "port": self.archive.port}
        document = {"destinations": [{**pacs, "confirm": confirm, **more}, *others], "rules": []}
        with self.database.write() as session:
            site_rows.add(session, document, "test", "", datetime.now(UTC))

    def series(self, folder: Path, count: int = 3, seed: int = 0) -> list[Dataset]:
        """A CT series as files; its originals are planned for `pacs`. Returns their data sets."""
        files = make_ct_series(folder, count, rows=32, seed=seed)
        datasets = [dcmread(file) for file in files]
        with self.database.write() as session:
            now = datetime.now(UTC)
            study, series = str(datasets[0].StudyInstanceUID), str(datasets[0].SeriesInstanceUID)
            session.add(_study(study, now))
            session.flush()
            session.add(_series(study, series, now))
            session.flush()
        self.join(files)
        return datasets

    def join(self, files: Sequence[Path], destination: str = "pacs") -> None:
        """These originals are planned for a destination."""
        sendables = []
        with (self.root / "made.tar").open("ab") as container:
            for file in files:
                header, content = dcmread(file, stop_before_pixels=True), file.read_bytes()
                location = Location("made.tar", container.tell(), len(content))
                container.write(content)
                syntax = str(header.file_meta.TransferSyntaxUID)
                sendables.append(Sendable(str(header.SOPInstanceUID), str(header.SOPClassUID), syntax, location))
        subject = Subject(str(header.SeriesInstanceUID), str(header.StudyInstanceUID))
        with self.database.write() as session:
            now = datetime.now(UTC)
            plan_delivery(session, destination, subject, sendables, rule="all", node="n", now=now)

    def become_derived(self, state: str, subject: str) -> None:
        """The one delivery is of what was derived from the series, by work in this state; or of a note about that."""
        with self.database.write() as session:
            row = session.scalars(select(Delivery)).one()
            work = session.get(Enhancement, 1)
            if work is None:
                empty: dict[str, Any] = {"params": {}, "writer_profile": {}}
                about = {"key": "k", "pipeline": "p", "version": "1", "weights_sha256": "", "priority": 1, **empty}
                at = {"not_before": row.created_at, "created_at": row.created_at}
                work = Enhancement(id=1, series_uid=row.series_uid, generation=1, state=state, **about, **at)
                session.add(work)
                session.flush()
                session.add(DerivedSeriesRow(enhancement_id=1, uid=row.series_uid, document={}))
            work.state = state
            row.enhancement_id, row.subject = 1, f"{subject}:1"

    def send(self) -> None:
        """Send whatever is due."""
        sender = self.sender(self.archive.port, timeouts=Timeouts(connect=60.0, acse=60.0, dimse=60.0))
        while sender.send_next():
            pass

    def confirm(self) -> bool:
        """One turn, after every wait has passed."""
        with self.database.write() as session:
            past = datetime.now(UTC) - timedelta(seconds=10)
            session.execute(update(Delivery).where(Delivery.confirm_at.is_not(None)).values(confirm_at=past))
        return confirm_due(self.flow)

    def state(self) -> str:
        """Of the one delivery."""
        return str(self.delivery().state)

    def delivery(self) -> Delivery:
        row: Delivery
        (row,) = self.deliveries()
        return row

    def confirmed_by(self) -> list[str]:
        """Who vouched for each instance, in order."""
        return [item.confirmed_by for item in self.items()]

    def transactions(self) -> list[Commitment]:
        with self.database.read() as session:
            return list(session.scalars(select(Commitment).order_by(Commitment.asked_at)))

    def reports(self) -> list[CommitmentReport]:
        with self.database.read() as session:
            return list(session.scalars(select(CommitmentReport).order_by(CommitmentReport.id)))

    def report(self, uid: str, committed: Sequence[str] = (), failed: Sequence[tuple[str, int]] = ()) -> None:
        """A report as a receiver of any node left it."""
        with self.database.write() as session:
            session.add(
                CommitmentReport(
                    transaction_uid=uid,
                    calling_aet="ARCHIVE",
                    event_type=2 if failed else 1,
                    committed=list(committed),
                    failed=[list(pair) for pair in failed],
                    association="a-1",
                    received_at=datetime.now(UTC),
                )
            )

    def kinds(self) -> list[str]:
        """Kinds of the audit events of deliveries, in order, without their creation."""
        with self.database.read() as session:
            kinds = session.scalars(select(AuditEvent.kind).order_by(AuditEvent.id))
            return [kind.removeprefix("delivery.") for kind in kinds if kind != "delivery.created"]


def _study(uid: str, now: datetime) -> Study:
    empty = dict.fromkeys(("patient_id", "patient_name", "accession_number", "study_date", "description"), "")
    return Study(uid=uid, first_seen_at=now, **empty)


def _series(study: str, uid: str, now: datetime) -> Series:
    return Series(
        uid=uid,
        study_uid=study,
        modality="CT",
        series_number="1",
        description="",
        calling_aet="MODALITY",
        called_aet="DICOMNODE",
        state="complete",
        last_arrival_at=now,
        completed_at=now,
    )


def uids(datasets: list[Dataset]) -> list[str]:
    return [str(each.SOPInstanceUID) for each in datasets]


def sent(archive: Archive, root: Path, database: Database, **options: Any) -> tuple[ConfirmingBench, list[str]]:
    """A bench whose series of three was sent; and the UIDs of that."""
    bench = ConfirmingBench(root / "node", database, archive, **options)
    sent = uids(bench.series(root / "ct"))
    bench.send()
    assert bench.state() == "sent"
    return bench, sent
