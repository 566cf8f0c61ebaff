"""One batch of members, applied to SQL inside one transaction: as if one by one, but asked and written together.

Another node may be taking in the same series at the same time: its senders are spread over both. So the series are
locked first, and whatever is decided of them and their instances is decided by what is there then.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

from sqlalchemy.orm import Session

from dicomnode.audit.events import record
from dicomnode.db.models import Instance, Series
from dicomnode.db.repositories import instances
from dicomnode.db.repositories import series as series_rows
from dicomnode.domain.instance import Location, Receipt
from dicomnode.store import association_events
from dicomnode.store.again import note_return, reopen
from dicomnode.store.index_arrivals import Arrivals, NewInstance
from dicomnode.store.index_comparison import Comparison
from dicomnode.store.index_containers import maker_of, node_of
from dicomnode.store.index_fields import Fields
from dicomnode.store.index_headers import Headers
from dicomnode.store.index_known import STORED, Versions, is_anew
from dicomnode.store.index_series import Newcomer, series_of, study_of
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

    def __init__(self, session: Session, node: str, headers: Headers, comparison: Comparison) -> None:
        self.arrivals = Arrivals()
        self.outcomes: Counter[str] = Counter()
        self._session, self._node, self._headers = session, node, headers
        self._versions = Versions(session, node, comparison)
        self._known: dict[str, tuple[str, Location | None]] = {}
        self._series: dict[str, Series] = {}
        self._rows: list[dict[str, Any]] = []

    def apply(self, batch: Sequence[Read]) -> None:
        """Raises database errors; what the database has of the batch is then to be rolled back."""
        self._prepare(batch)
        for read in batch:
            match read.member:
                case InstanceMember() as member:
                    assert read.fields is not None
                    self.outcomes[self._instance(member, read.fields)] += 1
                case EventMember(event):
                    maker = maker_of(read.container)  # who tells it; this node may only look after what that one left
                    association_events.apply(self._session, event, node_of(maker) or self._node)
                    self.arrivals.events.append(event)
                case DamagedMember() as member:
                    self._note_damage(member)
        self._write_rows()
        self._session.flush()

    def _prepare(self, batch: Sequence[Read]) -> None:
        """Lock the series, those that are new as well, and see which instances are known."""
        came = [Newcomer(m.receipt, read.fields) for read in batch
                if isinstance(m := read.member, InstanceMember) and read.fields is not None]  # fmt: skip
        sop_uids = [each.receipt.sop_instance_uid for each in came]
        self._series = series_rows.lock(self._session, {each.receipt.series_uid for each in came})
        self._known = instances.known(self._session, sop_uids)
        first = {each.receipt.series_uid: each for each in reversed(came)
                 if each.receipt.series_uid not in self._series
                 and each.receipt.sop_instance_uid not in self._known}  # fmt: skip
        if first:
            self._begin(list(first.values()))
            self._known = instances.known(self._session, sop_uids)

    def _begin(self, first: Sequence[Newcomer]) -> None:
        """Series of which these are the first instances, unless another node has begun one of them just now."""
        studies = {each.receipt.study_uid: study_of(each) for each in reversed(first)}
        series_rows.add(self._session, list(studies.values()), [series_of(each) for each in first])
        self._series.update(series_rows.lock(self._session, [each.receipt.series_uid for each in first]))

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
            "series_uid": self._touch(receipt, fields, at).uid,
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

    def _touch(self, receipt: Receipt, fields: Fields, at: datetime) -> Series:
        if receipt.series_uid not in self._series:
            self._begin([Newcomer(receipt, fields)])
        series = self.arrivals.series[receipt.series_uid] = self._series[receipt.series_uid]
        if series.state == "complete":
            reopen(self._session, series, receipt, self._node)
            self._note_late(series, receipt.sop_instance_uid)
        if at > series.last_arrival_at:
            series.last_arrival_at = at
        if series.calling_aet != receipt.calling_aet:
            series.calling_aet = receipt.calling_aet
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
