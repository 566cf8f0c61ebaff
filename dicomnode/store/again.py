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


def reopen(session: Session, series: Series, receipt: Receipt, node: str) -> None:
    """A complete series gets an instance: whatever retention gave up of it, it is stored again, and due again."""
    if series.purged_at is not None:
        record(
            session,
            "series.returned",
            "it comes again after retention had given up its bytes: a new arrival",
            node=node,
            study_uid=series.study_uid,
            series_uid=series.uid,
            subject=f"instance:{receipt.sop_instance_uid}",
        )
    series.state = "receiving"
    series_rows.returned(session, series)


def note_return(session: Session, known: Stored, same_bytes: bool, receipt: Receipt, node: str) -> None:
    """Audit that an instance takes the place of `known`. What retention gave up and comes again as it was is no news:
    `reopen` has said it for the whole series."""
    if same_bytes and known.gone == "purged":
        return
    how = "with the same bytes" if same_bytes else "with other bytes, which cannot be compared with the first"
    record(
        session,
        "instance.returned",
        f"an instance whose bytes were {known.gone} came again {how}",
        node=node,
        outcome="success" if same_bytes else "warning",
        series_uid=receipt.series_uid,
        subject=f"instance:{receipt.sop_instance_uid}",
        detail={"was": known.gone, "sha256": receipt.sha256, "association": receipt.association},
    )
