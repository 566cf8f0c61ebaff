"""What is over for long enough is deleted: sessions, and sign-ins that never came back from the provider."""

from datetime import timedelta

from dicomnode.db.database import now as database_now
from dicomnode.db.repositories import accounts as rows
from dicomnode.flow import Flow

SECONDS = 300.0
KEPT = timedelta(days=30)
"""Sessions' rows are kept for so long after their end: they say from where somebody is used to come (`sign_in`)."""


def sweep(flow: Flow) -> bool:
    """One turn. Returns False: there is nothing more to do right away."""
    with flow.database.write() as session:
        now = database_now(session)
        rows.sweep(session, now, now - KEPT)
    return False
