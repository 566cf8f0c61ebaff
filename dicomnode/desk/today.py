"""The day so far, for one look: what came, what is being done, what went out, what is wrong."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from dicomnode.db.database import now as database_now
from dicomnode.db.repositories import series_status
from dicomnode.db.repositories import today as rows
from dicomnode.db.repositories.today import Arrival, Job
from dicomnode.desk.day import midnight
from dicomnode.desk.live import Live
from dicomnode.desk.troubles import Trouble, troubles
from dicomnode.domain.states import DELIVERED
from dicomnode.flow import Flow

ARRIVALS = 25
RUNNING = 50
WITHHELD = 10
_SECONDS_OF_JOBS = 5


@dataclass(frozen=True)
class Arrived:
    """A series of today, what became of it in a word, how many instances of it are here, and the work on it."""

    series: Arrival
    status: str
    instances: int
    jobs: Sequence[Job]


@dataclass(frozen=True)
class Way:
    """A destination today: what it took, derived and as it came; what waits for it; what it refused for good."""

    destination: str
    derived: int
    originals: int
    waiting: int
    failed: int


@dataclass(frozen=True)
class Today:
    """All of it, at one moment. `ended` counts today's jobs by state, `open_jobs` those that are ready or run."""

    now: datetime
    since: datetime
    arrived: int
    arrivals: Sequence[Arrived]
    running: Sequence[Job]
    open_jobs: Mapping[str, int]
    ended: Mapping[str, int]
    withheld: Sequence[Job]
    ways: Sequence[Way]
    troubles: Sequence[Trouble]

    @property
    def delivered(self) -> int:
        """Series that destinations took today, derived ones and originals."""
        return sum(way.derived + way.originals for way in self.ways)


def today(flow: Flow, live: Live) -> Today:
    """The day so far, in one consistent view. Raises database errors, and OSError for a store that is away."""
    with flow.database.read() as session:
        now = database_now(session)
        since = midnight(now)
        return Today(
            now=now,
            since=since,
            arrived=rows.arrived(session, since),
            arrivals=_arrivals(session, since),
            running=rows.running(session, RUNNING),
            open_jobs=rows.open_jobs(session),
            ended=rows.ended(session, since),
            withheld=rows.ended_as(session, "withheld", since, WITHHELD),
            ways=_ways(session, since),
            troubles=troubles(flow, session, live, now, since),
        )


def version(flow: Flow, live: Live) -> str:
    """Differs as soon as something happened that `today` tells of: cheap enough to be asked every second or two.

    It differs by itself once a minute, for what only time changes (silent senders, the disk, midnight), and every few
    seconds while jobs run, whose seconds are shown.
    """
    with flow.database.read() as session:
        marks, stages = rows.marks(session), rows.stages(session)
        clock = int(database_now(session).timestamp()) // (_SECONDS_OF_JOBS if stages else 60)
    process = (live.listening, live.refusal, live.workers_alive, [loop.trouble for loop in live.loops])
    return hashlib.sha256(repr((marks, stages, clock, process)).encode()).hexdigest()[:20]


def _arrivals(session: Session, since: datetime) -> list[Arrived]:
    newest = rows.arrivals(session, since, ARRIVALS)
    uids = [each.uid for each in newest]
    counts, jobs = rows.instance_counts(session, uids), rows.work_of(session, uids)
    statuses = series_status.of(session, uids)
    of = {uid: [job for job in jobs if job.series_uid == uid] for uid in uids}
    return [Arrived(each, statuses[each.uid], counts.get(each.uid, 0), of[each.uid]) for each in newest]


def _ways(session: Session, since: datetime) -> list[Way]:
    waiting, sent = rows.waiting(session), rows.sent(session, since)

    def count(name: str, states: tuple[str, ...], *kinds: bool) -> int:
        return sum(
            row.deliveries for row in sent if row.destination == name and row.state in states and row.derived in kinds
        )

    return [
        Way(
            name,
            count(name, DELIVERED, True),
            count(name, DELIVERED, False),
            waiting.get(name, 0),
            count(name, ("failed",), True, False),
        )
        for name in sorted({row.destination for row in sent} | set(waiting))
    ]
