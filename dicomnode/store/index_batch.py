"""One batch of members, applied to SQL inside one transaction: as if one by one, but asked and written together."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

from sqlalchemy.orm import Session

from dicomnode.audit.events import record
from dicomnode.db.models import Instance, Series, Study
from dicomnode.db.repositories import instances
from dicomnode.domain.instance import Location, Receipt
from dicomnode.store import association_events
from dicomnode.store.again import note_return, reopen
from dicomnode.store.index_arrivals import Arrivals, NewInstance
from dicomnode.store.index_fields import Fields
from dicomnode.store.index_headers import Headers
from dicomnode.store.index_known import STORED, SamePixels, Versions, is_anew
from dicomnode.store.members import DamagedMember, EventMember, InstanceMember, Member
from dicomnode.store.versions import Version


@dataclass(frozen=True, slots=True)
class Read:
    """A member with its container, and with what its header says if it is an instance: all that reading has to do."""

    container: str
    member: Member
    fields: Fields | None


class Batch:
    """Applies members in their order; the rows of new instances are written together, at the latest at the end.

    `arrivals` and `outcomes` (instances by what became of them) say what was found.
    """

    def __init__(self, session: Session, node: str, headers: Headers, same_pixels: SamePixels) -> None:
        self.arrivals = Arrivals()
        self.outcomes: Counter[str] = Counter()
        self._session, self._node, self._headers = session, node, headers
        self._versions = Versions(session, node, headers, same_pixels)
        self._known: dict[str, tuple[str, Location | None]] = {}
        self._rows: list[dict[str, Any]] = []

    def apply(self, batch: Sequence[Read]) -> None:
        """Raises database errors; what the database has of the batch is then to be rolled back."""
        self._known = instances.known(self._session, _sop_uids(batch))
        for read in batch:
            match read.member:
                case InstanceMember() as member:
                    assert read.fields is not None
                    self.outcomes[self._instance(member, read.fields)] += 1
                case EventMember(event):
                    association_events.apply(self._session, event, self._node)
                case DamagedMember() as member:
                    self._note_damage(member)
        self._write_rows()
        self._session.flush()

    def _instance(self, member: InstanceMember, fields: Fields) -> str:
        uid, sha256 = member.receipt.sop_instance_uid, member.receipt.sha256
        known, location = self._known.get(uid, ("", None))
        if not known:
            self._rows.append(self._arrive(member, fields))
            self._known[uid] = sha256, member.location
            return "new"
        if known == sha256 and location is not None and self._headers.has(location):
            return "duplicate"
        return self._known_instance(member, fields)

    def _known_instance(self, member: InstanceMember, fields: Fields) -> str:
        self._write_rows()  # the one that is known may be of this very batch
        row = instances.find(self._session, member.receipt.sop_instance_uid)
        assert row is not None
        if not row.gone and not self._headers.has(instances.location(row)):
            row.fault = "missing"  # the doctor would say so; who sends it again was answered success just now
        if is_anew(row, member):
            self._anew(row, member, fields)
            return "again"
        version = self._versions.apply(row, member)
        if version is not None and version is not Version.VARIANT:
            self.arrivals.contradicted[row.series_uid] = version
        return "duplicate" if version is None else version.value

    def _anew(self, known: Instance, member: InstanceMember, fields: Fields) -> None:
        """Stored anew under its old row; other bytes in the same encoding may be a correction, so we say that it is."""
        receipt, same = member.receipt, known.sha256 == member.receipt.sha256
        if not same and known.transfer_syntax_uid == receipt.transfer_syntax_uid:
            self.arrivals.contradicted[known.series_uid] = Version.CORRECTION
        note_return(self._session, known, same, receipt, self._node)
        self._session.merge(Instance(**self._arrive(member, fields)))
        self._session.flush()
        self._known[receipt.sop_instance_uid] = receipt.sha256, member.location

    def _arrive(self, member: InstanceMember, fields: Fields) -> dict[str, Any]:
        """See to the series of a new instance, and announce it; its own columns, not yet written."""
        receipt, location = member.receipt, member.location
        at = datetime.fromisoformat(receipt.received_at)
        columns = {
            "sop_uid": receipt.sop_instance_uid,
            "series_uid": self._series(receipt, fields, at).uid,
            "sop_class_uid": receipt.sop_class_uid,
            "transfer_syntax_uid": receipt.transfer_syntax_uid,
            "container": location.container,
            "offset": location.offset,
            "length": location.length,
            "sha256": receipt.sha256,
            "instance_number": fields.instance_number,
            "acquisition_number": fields.acquisition_number,
            "images_in_acquisition": fields.images_in_acquisition,
            "is_image": fields.is_image,
            "association": receipt.association,
            "calling_aet": receipt.calling_aet,
            "received_at": at,
            **STORED,
            "generation": None,
        }
        self.arrivals.new.append(NewInstance(columns, fields.derived_by_node, partial(self._headers.header, location)))
        return columns

    def _write_rows(self) -> None:
        if self._rows:
            instances.insert(self._session, self._rows)
            self._rows = []

    def _series(self, receipt: Receipt, fields: Fields, at: datetime) -> Series:
        found = self.arrivals.series.get(receipt.series_uid) or self._session.get(Series, receipt.series_uid)
        series = found or self._new_series(receipt, fields, at)
        self.arrivals.series[series.uid] = series
        if series.state == "complete":
            reopen(self._session, series, receipt, self._node)
            self._note_late(series, receipt.sop_instance_uid)
        if at > series.last_arrival_at:
            series.last_arrival_at = at
        if series.calling_aet != receipt.calling_aet:
            series.calling_aet = receipt.calling_aet
        return series

    def _new_series(self, receipt: Receipt, fields: Fields, at: datetime) -> Series:
        if self._session.get(Study, receipt.study_uid) is None:
            self._session.add(
                Study(
                    uid=receipt.study_uid,
                    patient_id=fields.patient_id,
                    patient_name=fields.patient_name,
                    accession_number=fields.accession_number,
                    study_date=fields.study_date,
                    description=fields.study_description,
                    first_seen_at=at,
                )
            )
            self._session.flush()
        series = Series(
            uid=receipt.series_uid,
            study_uid=receipt.study_uid,
            modality=fields.modality,
            series_number=fields.series_number,
            description=fields.series_description,
            calling_aet=receipt.calling_aet,
            called_aet=receipt.called_aet,
            state="receiving",
            generation=0,
            last_arrival_at=at,
            derived_by_node=fields.derived_by_node,
        )
        self._session.add(series)
        self._session.flush()
        return series

    def _note_late(self, series: Series, sop_uid: str) -> None:
        record(
            self._session,
            "series.late",
            f"an instance came after generation {series.generation} was complete",
            node=self._node,
            study_uid=series.study_uid,
            series_uid=series.uid,
            subject=f"instance:{sop_uid}",
        )

    def _note_damage(self, member: DamagedMember) -> None:
        record(
            self._session,
            "instance.damaged",
            f"a stored member is damaged: {member.reason}",
            node=self._node,
            outcome="failure",
            subject=f"container:{member.location.container}@{member.location.offset}",
        )


def _sop_uids(batch: Iterable[Read]) -> list[str]:
    return [read.member.receipt.sop_instance_uid for read in batch if isinstance(read.member, InstanceMember)]
