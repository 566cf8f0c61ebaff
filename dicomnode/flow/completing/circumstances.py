"""What a decision rests on beside the facts, as it is now."""

from sqlalchemy.orm import Session

from dicomnode.db.models import Series
from dicomnode.db.repositories import instances, outdatings
from dicomnode.flow.completing.deciding import Circumstances


def circumstances_of(session: Session, series: Series) -> Circumstances:
    """In the transaction that completes the series, which has its row locked: nobody contradicts it meanwhile."""
    return Circumstances(
        series.derived_by_node,
        gone=instances.gone(session, series.uid),
        rejected=outdatings.rejected(session, series.uid),
        contradicted=instances.contradicted(session, series.uid),
    )
