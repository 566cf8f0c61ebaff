"""A bench of which a modality asks that its instances be kept: the request's turn comes when the test says so."""

from datetime import timedelta

from sqlalchemy import select, update
from support.retaining import RetentionBench

from dicomnode.db.database import now as database_now
from dicomnode.db.models import AuditEvent, CommitmentRequest, Delivery, DeliveryItem, Series
from dicomnode.db.repositories import commitment_requests
from dicomnode.db.repositories.commitment_requests import Asked
from dicomnode.flow.commitment.telling import vouch_due

CT = "1.2.840.10008.5.1.4.1.1.2"
DUPLICATE_TRANSACTION = 0x0131


class VouchingBench(RetentionBench):
    """A bench of which CT1 asks that its instances be kept."""

    def ask(
        self, *uids: str, sop_class_uid: str = CT, transaction_uid: str = "1.2.9", calling_aet: str = "CT1"
    ) -> None:
        instances = tuple((sop_class_uid, uid) for uid in uids)
        with self.flow.database.write() as session:
            asked = Asked(
                transaction_uid, calling_aet, "DICOMNODE", "127.0.0.1", "a-1", instances, database_now(session)
            )
            commitment_requests.ask(session, asked, DUPLICATE_TRANSACTION)

    def judged(self) -> dict[str, int] | None:
        """Its failures, once the request is judged; None while it waits."""
        self.hurry()
        vouch_due(self.flow)
        request = self.request()
        if request.state == "waiting":
            return None
        return {uid: int(reason) for uid, (reason, _) in request.failures.items()}

    def request(self) -> CommitmentRequest:
        with self.flow.database.read() as session:
            (row,) = commitment_requests.listing(session, 10)
        return row

    def hurry(self) -> None:
        """Its time comes."""
        with self.flow.database.write() as session:
            past = database_now(session) - timedelta(seconds=1)
            session.execute(update(CommitmentRequest).where(CommitmentRequest.state == "waiting").values(due_at=past))

    def delivered(self, **item: object) -> None:
        """Every original was taken; `item` may say that it was confirmed."""
        with self.flow.database.write() as session:
            now = database_now(session)
            session.execute(update(DeliveryItem).values(state="sent", sent_at=now, **item))
            session.execute(update(Delivery).values(state="sent", finished_at=now, confirm_at=now + timedelta(hours=1)))

    def confirmed(self, *uids: str) -> None:
        with self.flow.database.write() as session:
            query = update(DeliveryItem).values(confirmed_at=database_now(session))
            session.execute(query.where(DeliveryItem.sop_uid.in_(uids)) if uids else query)

    def the_series(self) -> Series:
        (row,) = self.series()
        return row

    def event(self, kind: str) -> AuditEvent:
        with self.flow.database.read() as session:
            return session.scalars(select(AuditEvent).where(AuditEvent.kind == kind)).one()
