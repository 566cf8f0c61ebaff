"""The lease of the job in hand, kept by one thread for all jobs of a worker."""

import threading
import time

from dicomnode.db.database import Database
from dicomnode.jobs import ledger
from dicomnode.jobs.ledger import Claim, EnhancingStopped, StaleAttempt
from dicomnode.observe import log

LOOK_SECONDS = 0.5
"""How often it is asked whether a job should go on; what an operator stops ends within two."""
TICK_SECONDS = 0.1
"""A job that is seen at two ticks in a row is no short one: the ledger hears that it has begun, if it does not know."""


class Tenure:
    """One job's time in hand. `interruption` is set once it should not go on."""

    def __init__(self, claim: Claim) -> None:
        self.claim = claim
        self.stage = "claimed"
        self.interruption: StaleAttempt | EnhancingStopped | None = None
        self.began = self.renewed = self.looked = time.monotonic()
        self.is_known = not claim.is_next
        """Whether the ledger has heard that it began."""


class LeaseKeeper:
    """Renews the lease of the job in hand, and asks the ledger whether it should go on.

    Its thread lives while there are jobs: short ones cost nothing here, for it asks of none that it sees for the first
    time. A lease is not renewed beyond `max_seconds` from its beginning: a job that hangs loses it.
    """

    def __init__(self, database: Database, lease_seconds: float, max_seconds: float) -> None:
        self._database = database
        self._lease_seconds, self._max_seconds = lease_seconds, max_seconds
        self._lock = threading.Lock()
        self._tenure: Tenure | None = None
        self._thread: threading.Thread | None = None

    def keep(self, tenure: Tenure) -> None:
        """Look after this job, until `let_go`."""
        with self._lock:
            self._tenure = tenure
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="lease", daemon=True)
                self._thread.start()

    def let_go(self) -> None:
        """The job is over. What is under way changes nothing any more: it is conditional on the attempt."""
        self._tenure = None

    def _run(self) -> None:
        seen: Tenure | None = None
        while True:
            time.sleep(min(TICK_SECONDS, self._lease_seconds / 3))
            with self._lock:
                tenure = self._tenure
                if tenure is None:
                    self._thread = None
                    return
            is_first, seen = tenure is not seen, tenure
            is_news = not tenure.is_known and tenure.looked == tenure.began
            pause = 0.0 if is_news else min(LOOK_SECONDS, self._lease_seconds / 3)
            if is_first or time.monotonic() - tenure.looked < pause:
                continue
            tenure.looked = time.monotonic()
            try:
                self._look(tenure)
            except Exception as error:
                log.warning("lease not renewed", enhancement=tenure.claim.enhancement_id, error=type(error).__name__)

    def _look(self, tenure: Tenure) -> None:
        now = time.monotonic()
        is_due = not tenure.is_known or now - tenure.renewed >= self._lease_seconds / 3
        if is_due and now - tenure.began < self._max_seconds:
            with self._database.write() as session:
                ledger.renew(session, tenure.claim, self._lease_seconds, tenure.stage)
            tenure.renewed, tenure.is_known = now, True
        with self._database.read() as session:
            tenure.interruption = tenure.interruption or ledger.interruption(session, tenure.claim)
