"""What comes under a UID that the index knows: a duplicate, another version, or bytes anew for those that are gone."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from dicomnode.audit.events import record
from dicomnode.db.models import Instance, InstanceVersion
from dicomnode.db.repositories import instances
from dicomnode.domain.instance import Location
from dicomnode.store.again import comes_again
from dicomnode.store.index_comparison import Comparison
from dicomnode.store.members import InstanceMember
from dicomnode.store.versions import Version

STORED: Mapping[str, Any] = {"purged_at": None, "fault": ""}
"""What says of a row that its bytes are kept, whatever became of earlier ones."""


def is_anew(known: Instance, member: InstanceMember) -> bool:
    """Whether the member takes the place of the known instance, whose bytes are gone."""
    return comes_again(known, known.sha256 == member.receipt.sha256, member.receipt)


class Versions:
    """Keeps other bytes of known instances, and says what they are."""

    def __init__(self, session: Session, node: str, comparison: Comparison) -> None:
        self._session, self._node, self._comparison = session, node, comparison

    def apply(self, known: Instance, member: InstanceMember) -> Version | None:
        """Keep the member beside `known`, unless it is a duplicate: None. For one that `is_anew` is not true of."""
        receipt = member.receipt
        if known.sha256 == receipt.sha256 or known.gone == "purged":
            return None
        version = instances.version(self._session, known.sop_uid, receipt.sha256)
        if version is not None and not comes_again(version, True, receipt):
            return None
        kind, differing = self._compare(known, member.location)
        self._keep(known, version, member, kind, differing)
        self._note(known, member, kind, differing)
        return kind

    def _compare(self, known: Instance, location: Location) -> tuple[Version, list[str]]:
        if known.gone:
            return Version.CONFLICT, []  # nothing to compare with, so nobody can say that it is the same
        return self._comparison.compare(instances.location(known), location)

    def _keep(
        self,
        known: Instance,
        version: InstanceVersion | None,
        member: InstanceMember,
        kind: Version,
        differing: list[str],
    ) -> None:
        receipt, location = member.receipt, member.location
        self._session.merge(
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
                **STORED,
                settled_at=None,
            )
        )
        self._session.flush()

    def _note(self, known: Instance, member: InstanceMember, kind: Version, differing: list[str]) -> None:
        receipt = member.receipt
        record(
            self._session,
            f"instance.{kind.value}",
            _WORDS[kind],
            node=self._node,
            outcome="success" if kind is Version.VARIANT else "warning",
            series_uid=known.series_uid,
            subject=f"instance:{known.sop_uid}",
            detail={"association": receipt.association, "differences": differing, "sha256": receipt.sha256},
        )


_WORDS = {
    Version.VARIANT: "the same image came in another encoding; kept beside the first",
    Version.CORRECTION: "the same image came with changed demographics",
    Version.CONFLICT: "a known UID came with other content; the first is kept, this one is quarantined",
}
