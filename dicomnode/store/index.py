"""The indexer: applies containers to SQL, idempotently and in batches, and decides what is new.

SQL is only the index: a member that was applied twice changes nothing, and whatever is lost of SQL can be read from the
containers again.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any

from pydicom import Dataset
from sqlalchemy.orm import Session

from dicomnode.audit.events import record
from dicomnode.db.database import Database
from dicomnode.db.models import Instance, InstanceVersion, Series, Study
from dicomnode.db.repositories import containers as container_rows
from dicomnode.db.repositories import instances
from dicomnode.domain.instance import Location
from dicomnode.domain.provenance import is_derived_by_dicomnode
from dicomnode.observe import INDEXED
from dicomnode.store import association_events
from dicomnode.store.again import comes_again, note_return
from dicomnode.store.header import UnreadableHeader
from dicomnode.store.header_fields import integer, is_image, text
from dicomnode.store.members import DamagedMember, EventMember, InstanceMember, Member, members
from dicomnode.store.reading import containers, read_header
from dicomnode.store.versions import Version, classify, differences

BATCH = 200

SamePixels = Callable[[Location, Location], bool]
"""Whether two stored instances decode to the same pixels."""


@dataclass
class Arrivals:
    """What one batch brought: new instances with their headers, and the series that this touched."""

    new: list[tuple[Instance, Dataset]] = field(default_factory=list)
    series: dict[str, Series] = field(default_factory=dict)
    contradicted: dict[str, Version] = field(default_factory=dict)
    """Series of which a known instance came again as a correction or a conflict."""


@dataclass
class Applied:
    """How much one run applied: members of all kinds, and instances among them."""

    members: int = 0
    instances: int = 0


class Indexer:
    """Reads this node's containers from where it stopped. One per node; not safe to share between threads.

    `arrived` is called once per batch, inside its transaction.
    """

    def __init__(
        self,
        root: Path,
        node: str,
        database: Database,
        arrived: Callable[[Session, Arrivals], None],
        same_pixels: SamePixels,
    ) -> None:
        self._root, self._node, self._database = root, node, database
        self._arrived, self._same_pixels = arrived, same_pixels
        self._sizes: dict[str, int] = {}
        self._offsets: dict[str, int] | None = None

    def run(self, applied: Applied | None = None) -> Applied:
        """Apply everything that is complete now, counting in `applied`.

        Raises database errors; what was applied before stays applied, and counted.
        """
        applied = applied or Applied()
        if self._offsets is None:
            with self._database.read() as session:
                self._offsets = container_rows.indexed_to(session)
        for container in containers(self._root):
            if self._sizes.get(container.name) != container.size:
                self._apply_container(container.name, applied)
                self._sizes[container.name] = container.size
        return applied

    def _apply_container(self, name: str, applied: Applied) -> None:
        assert self._offsets is not None
        found = members(self._root, name, self._offsets.get(name, 0))
        while batch := list(islice(found, BATCH)):
            with self._database.write() as session:
                arrivals = self._apply(session, batch)
                self._arrived(session, arrivals)
                container_rows.advance(session, name, self._node, batch[-1].next_offset)
            self._offsets[name] = batch[-1].next_offset
            applied.members += len(batch)
            applied.instances += sum(isinstance(member, InstanceMember) for member in batch)

    def _apply(self, session: Session, batch: Iterable[Member]) -> Arrivals:
        arrivals = Arrivals()
        for member in batch:
            match member:
                case InstanceMember():
                    outcome = self._apply_instance(session, member, arrivals)
                    INDEXED.labels(outcome).inc()
                case EventMember():
                    association_events.apply(session, member.event, self._node)
                case DamagedMember():
                    self._note_damage(session, member)
        session.flush()
        return arrivals

    def _apply_instance(self, session: Session, member: InstanceMember, arrivals: Arrivals) -> str:
        receipt = member.receipt
        known = instances.find(session, receipt.sop_instance_uid)
        if known is None:
            return self._apply_new(session, member, arrivals)
        same = known.sha256 == receipt.sha256
        if comes_again(known, same, receipt):
            return self._apply_again(session, known, member, arrivals)
        version = None if same else instances.version(session, known.sop_uid, receipt.sha256)
        if same or known.gone == "purged" or (version is not None and not comes_again(version, True, receipt)):
            return "duplicate"
        return self._apply_version(session, known, version, member, arrivals)

    def _apply_again(self, session: Session, known: Instance, member: InstanceMember, arrivals: Arrivals) -> str:
        """Stored anew under its old row; other bytes in the same encoding may be a correction, so we say that it is."""
        receipt, gone, same = member.receipt, known.gone, known.sha256 == member.receipt.sha256
        if not same and known.transfer_syntax_uid == receipt.transfer_syntax_uid:
            arrivals.contradicted[known.series_uid] = Version.CORRECTION
        self._apply_new(session, member, arrivals, known)
        note_return(session, arrivals.series[receipt.series_uid], receipt, gone, same, self._node)
        return "again"

    def _apply_new(
        self, session: Session, member: InstanceMember, arrivals: Arrivals, known: Instance | None = None
    ) -> str:
        receipt, location = member.receipt, member.location
        header = self._header(location)
        at = datetime.fromisoformat(receipt.received_at)
        series = self._series(session, member, header, at)
        row = Instance(
            sop_uid=receipt.sop_instance_uid,
            series_uid=series.uid,
            sop_class_uid=receipt.sop_class_uid,
            transfer_syntax_uid=receipt.transfer_syntax_uid,
            container=location.container,
            offset=location.offset,
            length=location.length,
            sha256=receipt.sha256,
            instance_number=integer(header, "InstanceNumber"),
            acquisition_number=integer(header, "AcquisitionNumber"),
            images_in_acquisition=integer(header, "ImagesInAcquisition"),
            is_image=is_image(header),
            association=receipt.association,
            calling_aet=receipt.calling_aet,
            received_at=at,
            **_STORED,
            generation=None,
        )
        session.add(row := session.merge(row) if known else row)
        session.flush()  # a second copy in this very batch must find the first
        arrivals.new.append((row, header))
        arrivals.series[series.uid] = series
        return "new"

    def _series(self, session: Session, member: InstanceMember, header: Dataset, at: datetime) -> Series:
        receipt = member.receipt
        series = session.get(Series, receipt.series_uid)
        if series is None:
            self._study(session, receipt.study_uid, header, at)
            series = Series(
                uid=receipt.series_uid,
                study_uid=receipt.study_uid,
                modality=text(header, "Modality"),
                series_number=text(header, "SeriesNumber"),
                description=text(header, "SeriesDescription"),
                calling_aet=receipt.calling_aet,
                called_aet=receipt.called_aet,
                state="receiving",
                generation=0,
                last_arrival_at=at,
                derived_by_node=is_derived_by_dicomnode(header),
            )
            session.add(series)
            session.flush()
        elif series.state == "complete":
            series.state = "receiving"
            self._note_late(session, series, receipt.sop_instance_uid)
        series.last_arrival_at = max(series.last_arrival_at, at)
        series.calling_aet = receipt.calling_aet
        return series

    def _study(self, session: Session, uid: str, header: Dataset, at: datetime) -> None:
        if session.get(Study, uid) is None:
            session.add(
                Study(
                    uid=uid,
                    patient_id=text(header, "PatientID"),
                    patient_name=text(header, "PatientName"),
                    accession_number=text(header, "AccessionNumber"),
                    study_date=text(header, "StudyDate"),
                    description=text(header, "StudyDescription"),
                    first_seen_at=at,
                )
            )
            session.flush()

    def _apply_version(
        self,
        session: Session,
        known: Instance,
        version: InstanceVersion | None,
        member: InstanceMember,
        arrivals: Arrivals,
    ) -> str:
        receipt, location = member.receipt, member.location
        kind, differing = self._compare(known, location)
        session.merge(
            InstanceVersion(
                id=version.id if version else None,
                sop_uid=known.sop_uid,
                kind=kind.value,
                transfer_syntax_uid=receipt.transfer_syntax_uid,
                container=location.container,
                offset=location.offset,
                length=location.length,
                sha256=receipt.sha256,
                association=receipt.association,
                received_at=datetime.fromisoformat(receipt.received_at),
                differences=list(differing),
                **_STORED,
                settled_at=None,
            )
        )
        session.flush()
        record(
            session,
            f"instance.{kind.value}",
            _VERSION_WORDS[kind],
            node=self._node,
            outcome="success" if kind is Version.VARIANT else "warning",
            series_uid=known.series_uid,
            subject=f"instance:{known.sop_uid}",
            detail={"association": receipt.association, "differences": differing, "sha256": receipt.sha256},
        )
        if kind is not Version.VARIANT:
            arrivals.contradicted[known.series_uid] = kind
        return kind.value

    def _compare(self, known: Instance, location: Location) -> tuple[Version, list[str]]:
        if known.gone:
            return Version.CONFLICT, []  # nothing to compare with, so nobody can say that it is the same
        differing = differences(self._header(instances.location(known)), self._header(location))
        return classify(differing, lambda: self._same_pixels(instances.location(known), location)), differing

    def _header(self, location: Location) -> Dataset:
        """The receiver refuses what cannot be read; should it slip through, an empty header still gets its row."""
        try:
            return read_header(self._root, location)
        except UnreadableHeader:
            return Dataset()

    def _note_late(self, session: Session, series: Series, sop_uid: str) -> None:
        record(
            session,
            "series.late",
            f"an instance came after generation {series.generation} was complete",
            node=self._node,
            study_uid=series.study_uid,
            series_uid=series.uid,
            subject=f"instance:{sop_uid}",
        )

    def _note_damage(self, session: Session, member: DamagedMember) -> None:
        record(
            session,
            "instance.damaged",
            f"a stored member is damaged: {member.reason}",
            node=self._node,
            outcome="failure",
            subject=f"container:{member.location.container}@{member.location.offset}",
        )


_STORED: Mapping[str, Any] = {"purged_at": None, "fault": ""}
"""What says of a row that its bytes are kept, whatever became of earlier ones."""

_VERSION_WORDS = {
    Version.VARIANT: "the same image came in another encoding; kept beside the first",
    Version.CORRECTION: "the same image came with changed demographics",
    Version.CONFLICT: "a known UID came with other content; the first is kept, this one is quarantined",
}
