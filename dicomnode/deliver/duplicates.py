"""0111, "duplicate SOP instance", after an attempt whose response was lost: is it ours that the peer has?"""

import threading
from collections.abc import Sequence

from sqlalchemy.orm import Session

from dicomnode.db.database import Database
from dicomnode.db.models import Delivery, DerivedSeriesRow, Series
from dicomnode.db.repositories.deliveries import OpenItem
from dicomnode.deliver.destination import Destination, Timeouts
from dicomnode.deliver.find import FindFailed, find_instances
from dicomnode.deliver.outcome import AssociationFailed, Outcome, Response, no_response

Doubtful = Sequence[tuple[OpenItem, Response]]


def judge(
    database: Database,
    delivery_id: int,
    doubtful: Doubtful,
    destination: Destination,
    calling_aet: str,
    *,
    timeouts: Timeouts,
    stop: threading.Event,
) -> Doubtful:
    """The same instances with what C-FIND at image level says of them (PS3.4 C.4.1): stored, or refused after all.

    Where the peer cannot be asked now, they stay open; where it takes no C-FIND, its refusal stands.
    """
    with database.read() as session:
        study_uid, series_uid = _where(session, delivery_id)
    uids = [item.sop_uid for item, _ in doubtful]
    try:
        found = find_instances(destination, calling_aet, study_uid, series_uid, uids, timeouts=timeouts, stop=stop)
    except (AssociationFailed, FindFailed) as failure:
        return [(item, _unknown(response, failure)) for item, response in doubtful]
    return [(item, _judged(item, response, found)) for item, response in doubtful]


def _judged(item: OpenItem, response: Response, found: set[str]) -> Response:
    if item.sop_uid in found:
        return _said(response, Outcome.STORED, "an earlier attempt had stored it: C-FIND names it")
    return _said(response, Outcome.PERMANENT, "C-FIND does not name it")


def _unknown(response: Response, failure: AssociationFailed | FindFailed) -> Response:
    """Where trying again can help, it is as if no response had come."""
    words = f"it cannot be asked whether an earlier attempt had stored it: {failure}"
    return no_response(f"{response.detail}; {words}") if failure.transient else _said(response, response.outcome, words)


def _said(response: Response, outcome: Outcome, what: str) -> Response:
    return Response(outcome, response.status, f"{response.detail}; {what}")


def _where(session: Session, delivery_id: int) -> tuple[str, str]:
    """Study and Series Instance UID of what the delivery delivers."""
    row = session.get_one(Delivery, delivery_id)
    series = session.get_one(Series, row.series_uid)
    derived = session.get(DerivedSeriesRow, row.enhancement_id) if row.enhancement_id is not None else None
    return series.study_uid, derived.uid if derived is not None else series.uid
