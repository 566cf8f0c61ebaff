"""Where a sender gets deliveries from: the most urgent that is due, claimed from the ledger; one while it is down."""

import time
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import NamedTuple

from sqlalchemy.orm import Session

from dicomnode.db.database import Database
from dicomnode.db.database import now as database_now
from dicomnode.db.repositories import deliveries, delivery_claims, outages
from dicomnode.db.repositories.deliveries import OpenItem
from dicomnode.db.repositories.delivery_claims import Claimed
from dicomnode.deliver.lease import Lease, boot_clock
from dicomnode.deliver.takeover import take_over
from dicomnode.observe import log

TAKE_OVER_SECONDS = 1.0


class Taken(NamedTuple):
    """A delivery that is this sender's for the time of the lease, and what is left to send of it.

    is_probe  the destination was down: nobody else tries it before this attempt is over
    """

    claimed: Claimed
    items: Sequence[OpenItem]
    lease: Lease
    is_probe: bool


class Intake:
    """Of one destination at one node."""

    def __init__(self, database: Database, root: Path, destination: str, node: str, lease_seconds: float) -> None:
        self._database, self._root, self._destination, self._node = database, root, destination, node
        self._lease_seconds = lease_seconds
        self._looked_at = float("-inf")

    def ask_now(self) -> None:
        """A sender that begins finds out for itself whether the destination is still down."""
        with self._database.read() as session:
            if not outages.is_resting(session, self._destination):
                return
        with self._database.write() as session:
            outages.ask_now(session, self._destination)

    def next(self, own: Collection[int]) -> Taken | None:
        """Claim what goes next; `own` are the deliveries that the sender has in hand already."""
        self._take_over(own)
        with self._database.read() as session:
            resting = outages.is_resting(session, self._destination)
            if resting or delivery_claims.most_urgent(session, self._destination) is None:
                return None
        with self._database.write() as session:
            return self._take(session)

    def _take(self, session: Session) -> Taken | None:
        outage = outages.lock(session, self._destination)
        if outage is not None and (
            outage.next_at > database_now(session) or delivery_claims.anything_sending(session, self._destination)
        ):
            return None
        lease = Lease(self._lease_seconds, boot_clock())
        claimed = delivery_claims.take(session, self._destination, self._node, self._lease_seconds)
        if claimed is None:
            return None
        return Taken(claimed, deliveries.open_items(session, claimed.id), lease, outage is not None)

    def _take_over(self, own: Collection[int]) -> None:
        if time.monotonic() - self._looked_at < TAKE_OVER_SECONDS:
            return
        self._looked_at = time.monotonic()
        with self._database.read() as session:
            if not delivery_claims.anything_lapsed(session, self._destination):
                return
        with self._database.write() as session:
            count = take_over(session, self._root, self._destination, self._node, own)
        if count:
            log.warning("leases of another node ran out", destination=self._destination, deliveries=count)
