"""Keeps the leases of a sender's claims, and notices what takes them away: an operator, another node, urgency."""

import threading
from collections.abc import Callable, Sequence

from dicomnode.db.database import Database
from dicomnode.db.repositories import delivery_claims, holds
from dicomnode.deliver.claim import Claim, Ending
from dicomnode.deliver.lease import boot_clock
from dicomnode.observe import log

LOOK_SECONDS = 0.25


class Keeper(threading.Thread):
    """Of one sender. `claims` gives what it has in hand; `lanes` is how many associations it may have."""

    def __init__(
        self, database: Database, destination: str, claims: Callable[[], Sequence[Claim]], lanes: int, seconds: float
    ) -> None:
        super().__init__(name=f"keep-{destination}", daemon=True)
        self._database, self._destination = database, destination
        self._claims, self._lanes, self._seconds = claims, lanes, seconds
        self._stop_event = threading.Event()

    def stop(self) -> None:
        self._stop_event.set()

    def run(self) -> None:
        while not self._stop_event.wait(min(LOOK_SECONDS, self._seconds / 10)):
            try:
                self.look()
            except Exception as error:  # the leases run out by themselves, and the lanes see that they do
                log.warning("leases are not renewed", destination=self._destination, error=type(error).__name__)

    def look(self) -> None:
        """Renew what is due, and close what this node may no longer send."""
        claims = [claim for claim in self._claims() if not claim.is_closed]
        if not claims:
            return
        if wanting := [claim for claim in claims if claim.lease.wants_renewal]:
            self._renew(wanting)
        with self._database.read() as session:
            standing = delivery_claims.standing(session, [claim.claimed[:2] for claim in claims])
            paused = holds.held(session, holds.DESTINATION, self._destination)
            stopped = holds.held(session, holds.ENHANCING)
            next_priority = delivery_claims.most_urgent(session, self._destination)
        for claim in claims:
            if claim.claimed.id not in standing:
                claim.close(Ending.INTERRUPTED, "it was cancelled, sent elsewhere or taken over by another node")
            elif paused is not None:
                claim.close(Ending.INTERRUPTED, f"{paused.by} paused {self._destination}")
            elif stopped is not None and claim.claimed.is_derived:
                claim.close(Ending.INTERRUPTED, f"{stopped.by} stopped enhancing: originals flow")
        if next_priority is not None:
            self._make_way(claims, next_priority)

    def _renew(self, claims: Sequence[Claim]) -> None:
        with self._database.write() as session:
            session.connection()  # waits for the writer's lock, which is no part of the lease
            asked_at = boot_clock()
            renewed = delivery_claims.renew(session, [claim.claimed[:2] for claim in claims], self._seconds)
        for claim in claims:
            if claim.claimed.id in renewed:
                claim.lease.renewed(asked_at)

    def _make_way(self, claims: Sequence[Claim], priority: int) -> None:
        """With every lane busy, the least urgent delivery goes on later: after the instance on the wire."""
        busy = [claim for claim in claims if not claim.is_closed]
        least = max(busy, key=lambda claim: claim.claimed.priority, default=None)
        if least is None or least.claimed.priority <= priority or sum(claim.lanes for claim in busy) < self._lanes:
            return
        least.close(Ending.INTERRUPTED, "something more urgent goes first")
