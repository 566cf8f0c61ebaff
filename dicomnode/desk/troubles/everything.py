"""All troubles of a node, the worst first."""

from collections.abc import Iterator
from datetime import datetime
from urllib.parse import urlencode

from sqlalchemy.orm import Session

from dicomnode.desk.live import Live
from dicomnode.desk.silence import silent
from dicomnode.desk.troubles.held import of_destinations, of_people
from dicomnode.desk.troubles.machine import of_machine
from dicomnode.desk.troubles.trouble import Trouble
from dicomnode.desk.troubles.work import of_work
from dicomnode.flow import Flow

_ORDER = ("failure", "warning", "notice")


def troubles(flow: Flow, session: Session, live: Live, now: datetime, since: datetime) -> list[Trouble]:
    """Everything that is wrong now, and what since then became of deliveries that is worth a look."""
    found = [
        *of_machine(flow, session, live),
        *of_destinations(session),
        *of_people(session),
        *of_silence(flow, session, now),
        *of_work(session, since),
    ]
    return sorted(found, key=lambda trouble: _ORDER.index(trouble.severity))


def of_silence(flow: Flow, session: Session, now: datetime) -> Iterator[Trouble]:
    """ "Nothing from CT1 for 4 hours"."""
    hours = flow.settings.web.silence_hours
    for each in silent(session, now, hours):
        quiet = int((now - each.last_heard).total_seconds() // 3600)
        message = (
            f"Nothing from {each.calling_aet} for {quiet} hours. It sent at this time in each of the last two weeks."
        )
        way_out = (
            "Ask whether it is in use; look whether it still sends here, and whether its associations are refused."
        )
        href = f"/series?{urlencode({'sender': each.calling_aet})}"
        yield Trouble("silence", "warning", message, way_out, href, since=each.last_heard)
