"""The lease of the job in hand, kept by one thread for all jobs of a worker."""

import threading
import time

from dicomnode.db.database import Database
from dicomnode.jobs import ledger
from dicomnode.jobs.ledger import Claim, EnhancingStopped, StaleAttempt
from dicomnode.observe import log

LOOK_SECONDS = 0.5
"""How often it is asked whether a job should go on, from the second look on; what an operator stops ends within two."""


class Tenure:
    """One job's time in hand. `interruption` is set once it should not go on."""

    def __init__(self, claim: Claim) -> None:
        self.claim = claim
        self.stage = "claimed"
        self.interruption: StaleAttempt | EnhancingStopped | None = None
        self.began = self.renewed = time.monotonic()


class LeaseKeeper:
    """Renews the lease of the job in hand, and asks the ledger whether it should go on.

    Its thread lives while there are jobs: short ones cost nothing here, for it looks every half second alone, and asks
    of none that it sees for the first time. A lease is not renewed beyond `max_seconds` from its beginning: a job that
    hangs loses it.
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
            time.sleep(min(LOOK_SECONDS, self._lease_seconds / 3))
            with self._lock:
                tenure = self._tenure
                if tenure is None:
                    self._thread = None
                    return
            if tenure is not seen:
                seen = tenure
                continue
            try:
                self._look(tenure)
            except Exception as error:
                log.warning("lease not renewed", enhancement=tenure.claim.enhancement_id, error=type(error).__name__)

    def _look(self, tenure: Tenure) -> None:
        now = time.monotonic()
        if now - tenure.began < self._max_seconds and now - tenure.renewed >= self._lease_seconds / 3:
            with self._database.write() as session:
                ledger.renew(session, tenure.claim, self._lease_seconds, tenure.stage)
            tenure.renewed = now
        with self._database.read() as session:
            tenure.interruption = tenure.interruption or ledger.interruption(session, tenure.claim)
