"""Lists of storage commitment requests that are still arriving: looked at when what they wait for is here, not before.

A list may name tens of thousands of instances, and some never come. So that not every batch reads every list, one
instance that it lacks is remembered of each: while that one is not here, the list is not complete.
"""

from datetime import datetime

from sqlalchemy.orm import Session

from dicomnode.complete.manifest import COMMITMENT_REQUEST
from dicomnode.db.models import CommitmentRequest
from dicomnode.db.repositories import commitment_notes, instances
from dicomnode.db.repositories import series as series_rows


class Awaited:
    """For the one thread that takes arrivals in.

    SQL has the truth: a list that is not remembered is read, and whether what it waits for is here is asked with every
    batch, for another node may have taken it in.
    """

    def __init__(self) -> None:
        self._lacks: dict[int, str] = {}

    def look(self, session: Session, now: datetime) -> set[str]:
        """Keep the lists of which all is here, by series. Returns these series.

        Not before all of a list is here: it does not say to which series those belong that are still to come.
        """
        arriving = commitment_notes.arriving(session, now)
        lacks = self._lacks = {number: self._lacks[number] for number in arriving if number in self._lacks}
        here = instances.kept(session, list(lacks.values()))
        touched: set[str] = set()
        for number in arriving:
            if number not in lacks or lacks[number] in here:
                touched |= self._read(session, session.get_one(CommitmentRequest, number), now)
        return touched

    def _read(self, session: Session, request: CommitmentRequest, now: datetime) -> set[str]:
        listed, lacking = instances.by_series(session, [sop_uid for _, sop_uid in request.instances])
        if lacking:
            self._lacks[request.id] = lacking
            return set()
        if not commitment_notes.arrived(session, request, now):
            return set()
        source = f"{COMMITMENT_REQUEST} {request.transaction_uid}"
        series_rows.add_manifests(session, source, request.calling_aet, listed)
        return set(listed)
