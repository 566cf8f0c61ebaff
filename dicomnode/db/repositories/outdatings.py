"""Instances that were rejected, and derived series that are outdated: who is to be told of them still."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from sqlalchemy import func, insert, select, update
from sqlalchemy.orm import Session

from dicomnode.db.clock import Clock
from dicomnode.db.models import Delivery, DeliveryItem, Enhancement, Instance, Outdating, Output, Rejection


def reject(
    session: Session, source: str, code: str, calling_aet: str, listed: Mapping[str, Iterable[str]], at: datetime
) -> dict[str, int]:
    """Keep that `source` rejects these instances, listed by series. Returns how many of each were not known of it.

    An instance is kept once, even where a document lists it under several series.
    """
    known = set(session.scalars(select(Rejection.sop_uid).where(Rejection.source == source)))
    about = {"source": source, "code": code, "calling_aet": calling_aet, "noted_at": at}
    fresh = {series_uid: sorted(set(sop_uids) - known) for series_uid, sop_uids in listed.items()}
    series_of = {sop_uid: series_uid for series_uid, sop_uids in fresh.items() for sop_uid in sop_uids}
    rows = [{"series_uid": series_uid, "sop_uid": sop_uid, **about} for sop_uid, series_uid in series_of.items()]
    if rows:
        session.execute(insert(Rejection), rows)
    return {series_uid: len(sop_uids) for series_uid, sop_uids in fresh.items() if sop_uids}


def rejected(session: Session, series_uid: str) -> dict[str, int]:
    """Number of stored instances of a series that somebody rejected, by the code of the title."""
    query = (
        select(Rejection.code, func.count(Rejection.sop_uid.distinct()))
        .join(Instance, Instance.sop_uid == Rejection.sop_uid)
        .where(Instance.series_uid == series_uid, Instance.kept())
        .group_by(Rejection.code)
    )
    return dict(session.execute(query).all())


def of_series(session: Session, series_uid: str) -> Sequence[Outdating]:
    """Why derived series of this one are outdated, by enhancement."""
    query = select(Outdating).join(Enhancement, Enhancement.id == Outdating.enhancement_id)
    return session.scalars(query.where(Enhancement.series_uid == series_uid).order_by(Outdating.enhancement_id)).all()


def due(session: Session, limit: int) -> Sequence[int]:
    """Enhancements of which it is to be decided whether a rejection note goes out, the longest due first."""
    query = select(Outdating.enhancement_id).where(Outdating.note_due_at <= Clock()).order_by(Outdating.note_due_at)
    return session.scalars(query.limit(limit)).all()


def claim(session: Session, enhancement_id: int, seconds: float) -> Outdating | None:
    """Look after one that is due, for so many seconds on the database's clock. None: another node was faster."""
    ours = (Outdating.enhancement_id == enhancement_id) & (Outdating.note_due_at <= Clock())
    query = update(Outdating).where(ours).values(note_due_at=Clock(seconds))
    if session.execute(query, execution_options={"synchronize_session": False}).rowcount != 1:  # type: ignore[attr-defined]
        return None
    return session.get_one(Outdating, enhancement_id, populate_existing=True)


def decide(session: Session, claimed: Outdating, note_uid: str) -> bool:
    """It is decided: this note goes out, or none (empty). False: the claim has lapsed, and nothing was changed."""
    ours = (Outdating.enhancement_id == claimed.enhancement_id) & (Outdating.note_due_at == claimed.note_due_at)
    query = update(Outdating).where(ours).values(note_due_at=None, note_uid=note_uid)
    return bool(session.execute(query, execution_options={"synchronize_session": False}).rowcount)  # type: ignore[attr-defined]


def look_again(session: Session, item_ids: Sequence[int]) -> None:
    """Destinations have answered for these instances of deliveries. What is outdated by now, and was on the wire when
    it was marked, is due again: whoever took any of it after all is to be told."""
    for start in range(0, len(item_ids), 500):
        of_items = select(Delivery.enhancement_id).join(DeliveryItem, DeliveryItem.delivery_id == Delivery.id)
        of_items = of_items.where(DeliveryItem.id.in_(item_ids[start : start + 500]), Delivery.state == "cancelled")
        query = update(Outdating).where(Outdating.enhancement_id.in_(of_items)).values(note_due_at=Clock())
        session.execute(query, execution_options={"synchronize_session": False})


def note(session: Session, enhancement_id: int) -> Output | None:
    """The rejection note that was written of this derived series."""
    return session.scalar(select(Output).where(Output.enhancement_id == enhancement_id, Output.source_sop_uid == ""))


def takers(session: Session, enhancement_id: int) -> set[str]:
    """The destinations that were sent an instance of this derived series, whatever they answered."""
    query = (
        select(Delivery.destination)
        .join(DeliveryItem, DeliveryItem.delivery_id == Delivery.id)
        .where(Delivery.subject == f"enhancement:{enhancement_id}", DeliveryItem.attempts > 0)
    )
    return set(session.scalars(query.distinct()))


def rejecters(session: Session, enhancement_id: int) -> set[str]:
    """AE titles of those who rejected every instance of this derived series."""
    of_it = (Output.enhancement_id == enhancement_id) & (Output.source_sop_uid != "")
    count = select(func.count(Output.id)).where(of_it).scalar_subquery()
    query = select(Rejection.calling_aet).join(Output, Output.sop_uid == Rejection.sop_uid).where(of_it)
    query = query.group_by(Rejection.calling_aet).having(func.count(Rejection.sop_uid.distinct()) == count)
    return {aet.strip() for aet in session.scalars(query)}
