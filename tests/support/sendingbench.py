"""The ledger and the store of a node that only sends: deliveries in, without receiver and workers."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydicom import dcmread
from sqlalchemy import select
from support.databases import sqlite

from dicomnode.db.database import Database
from dicomnode.db.models import AuditEvent, Delivery, DeliveryItem, Outage, Series, Study
from dicomnode.db.repositories import outages
from dicomnode.deliver.backoff import Backoff
from dicomnode.deliver.destination import Destination, Timeouts
from dicomnode.deliver.plan import Sendable, Subject, plan_delivery
from dicomnode.deliver.sender import Sender
from dicomnode.domain.instance import Location

PATIENT = Timeouts(connect=60.0, acse=60.0, dimse=60.0)
"""For peers that answer, however long that takes on this machine."""


class SendingBench:
    """`plan` makes a delivery of files, `sender` what sends it. One container holds everything.

    `made`: an earlier one, of another process perhaps, worked under this root; nothing may be planned. Without
    `database` it has SQLite under this root.
    """

    def __init__(self, root: Path, *, made: bool = False, database: Database | None = None) -> None:
        self.root = root / "store"
        self.root.mkdir(parents=True, exist_ok=made)
        self.database = database or sqlite(root / "node.db")
        self._container = self.root / "made.tar"
        self._numbers = 0

    def plan(
        self, files: Sequence[Path], *, copies: int = 1, destination: str = "pacs", priority: int = 1
    ) -> list[str]:
        """A delivery of these files, each `copies` times under SOP Instance UIDs of its own. Returns those UIDs.

        The UIDs are the ledger's alone, as far as `copies` is above 1: the bytes stay the file's.
        """
        self._numbers += 1
        series, now = f"1.2.{self._numbers}", datetime.now(UTC)
        sendables: list[Sendable] = []
        with self._container.open("ab") as container:
            for file in files:
                header = dcmread(file, stop_before_pixels=True)
                content = file.read_bytes()
                location = Location(self._container.name, container.tell(), len(content))
                container.write(content)
                for copy in range(copies):
                    uid = f"{series}.{len(sendables) + 1}.{copy}" if copies > 1 else str(header.SOPInstanceUID)
                    syntax = str(header.file_meta.TransferSyntaxUID)
                    sendables.append(Sendable(uid, str(header.SOPClassUID), syntax, location))
        with self.database.write() as session:
            session.add(_study(series, now))
            session.flush()
            session.add(_series(series, now))
            session.flush()
            subject = Subject(series, series)
            plan_delivery(session, destination, subject, sendables, rule="all", node="n", now=now, priority=priority)
        return [sendable.sop_uid for sendable in sendables]

    def sender(self, port: int, *, associations: int = 1, name: str = "pacs", **options: Any) -> Sender:
        """A sender to a peer on this machine."""
        return Sender(
            Destination(name, "PACS", "127.0.0.1", port, associations=associations),
            self.database,
            self.root,
            calling_aet="NODE",
            **{"node": "n", "backoff": Backoff(0.1, 0.5), "timeouts": PATIENT, **options},
        )

    def deliveries(self) -> list[Delivery]:
        with self.database.read() as session:
            return list(session.scalars(select(Delivery).order_by(Delivery.id)))

    def items(self) -> list[DeliveryItem]:
        with self.database.read() as session:
            return list(session.scalars(select(DeliveryItem).order_by(DeliveryItem.id)))

    @contextmanager
    def sending(self, port: int, **options: Any) -> Iterator[Sender]:
        """A sender that runs for the length of the block."""
        sender = self.sender(port, **options)
        sender.start()
        try:
            yield sender
        finally:
            sender.stop()
            sender.join(60)
            assert not sender.is_alive()

    def wait_until(self, condition: Callable[[], object], what: str, seconds: float = 60.0) -> None:
        """Wait for something that the ledger or a peer sees; fails with `what` and how the deliveries stand."""
        deadline = time.monotonic() + seconds
        while not condition():
            standing = [(row.id, row.state, row.reason) for row in self.deliveries()]
            assert time.monotonic() < deadline, f"waited {seconds:g} s for {what}: {standing}"
            time.sleep(0.02)

    def wait_for(self, *states: str, seconds: float = 60.0) -> None:
        """Until every delivery is in one of these states."""
        self.wait_until(lambda: {row.state for row in self.deliveries()} <= set(states), " or ".join(states), seconds)

    def outage(self) -> Outage | None:
        """Of the destination `pacs`."""
        with self.database.read() as session:
            return outages.find(session, "pacs")

    def events(self, kind: str) -> list[AuditEvent]:
        with self.database.read() as session:
            return list(session.scalars(select(AuditEvent).where(AuditEvent.kind == kind).order_by(AuditEvent.id)))


def _study(uid: str, now: datetime) -> Study:
    return Study(
        uid=uid,
        patient_id="",
        patient_name="",
        accession_number="",
        study_date="",
        description="",
        first_seen_at=now,
    )


def _series(uid: str, now: datetime) -> Series:
    return Series(
        uid=uid,
        study_uid=uid,
        modality="CT",
        series_number="1",
        description="",
        calling_aet="MODALITY",
        called_aet="DICOMNODE",
        state="complete",
        last_arrival_at=now,
    )
