"""What comes again after its bytes were given up, lost or spoilt: a new arrival of a known instance."""

from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from dicomnode.audit.events import record
from dicomnode.db.models import Series
from dicomnode.db.models.stored import Stored
from dicomnode.db.repositories import series as series_rows
from dicomnode.domain.instance import Receipt

REST = timedelta(hours=1)
"""Retention touches no series that something happened to within this time. Thus what was received that shortly before
the purge, or after it, by whatever clock, is a new arrival; anything older is a copy that lay in another container."""


def comes_again(known: Stored, same_bytes: bool, receipt: Receipt) -> bool:
    """Whether a received instance takes the place of `known`, whose bytes are gone.

    For what retention gave up, any bytes do: there is nothing left to compare them with. For what was lost, only the
    same bytes are sure to be the same instance.
    """
    if known.purged_at is None:
        return bool(known.fault) and same_bytes
    return datetime.fromisoformat(receipt.received_at) > known.purged_at - REST


def note_return(session: Session, series: Series, receipt: Receipt, gone: str, same_bytes: bool, node: str) -> None:
    """Audit that an instance is stored again; the first of a purged series speaks for all."""
    subject = f"instance:{receipt.sop_instance_uid}"
    if series.purged_at is not None:
        series_rows.returned(session, series)
        message = "it comes again after retention had given up its bytes: a new arrival"
        record(session, "series.returned", message, node=node, series_uid=series.uid, subject=subject)
    if same_bytes and gone == "purged":
        return
    how = "with the same bytes" if same_bytes else "with other bytes, which cannot be compared with the first"
    record(
        session,
        "instance.returned",
        f"an instance whose bytes were {gone} came again {how}",
        node=node,
        outcome="success" if same_bytes else "warning",
        series_uid=series.uid,
        subject=subject,
        detail={"was": gone, "sha256": receipt.sha256, "association": receipt.association},
    )
