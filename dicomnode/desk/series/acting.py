"""What people do to one series: say that it is complete, keep it, release it, have a pipeline run on it."""

from dataclasses import dataclass

from dicomnode.audit.events import record
from dicomnode.complete.schedule import command
from dicomnode.db.database import now as database_now
from dicomnode.db.repositories import series as series_rows
from dicomnode.desk.person import Person
from dicomnode.desk.refused import Refused
from dicomnode.desk.series.finding import find
from dicomnode.flow import Flow
from dicomnode.flow.enhancing.asked import Asked, NotNow, ask
from dicomnode.flow.upkeep import retention


@dataclass(frozen=True)
class Released:
    """What leaving a series to retention came to: conflicts that are settled, and for whom it stays nevertheless."""

    conflicts: int
    kept_for: str


@dataclass(frozen=True)
class Run:
    """The work that was asked for: its number, and its state, which is `done` where it had been done before."""

    job: int
    state: str
    destinations: tuple[str, ...]


def complete(flow: Flow, person: Person, uid: str) -> None:
    """Say that a series is complete: the node makes the generation within a second. Raises Refused."""
    with flow.database.write() as session:
        series = find(session, uid)
        series_rows.lock(session, [uid])
        try:
            command(series, person.name, database_now(session))
        except ValueError as error:
            raise Refused(str(error), "conflict") from error
        message = f"{person.name} says that it is complete"
        about = {"study_uid": series.study_uid, "series_uid": uid}
        record(session, "series.told_complete", message, node=flow.node, actor=person.name, **about)


def keep(flow: Flow, person: Person, uid: str) -> None:
    """Keep a series from retention until it is released. Raises Refused."""
    with flow.database.write() as session:
        retention.keep(flow, session, find(session, uid), person.name)


def release(flow: Flow, person: Person, uid: str, *, promise: bool = False) -> Released:
    """Leave a series to retention: its conflicts are settled; `promise` breaks what a modality was told, too."""
    with flow.database.write() as session:
        series = find(session, uid)
        settled = retention.release(flow, session, series, person.name, promise=promise)
        return Released(settled, series.kept_for)


def run(flow: Flow, person: Person, uid: str, asked: Asked) -> Run:
    """Have a pipeline run on the newest generation of a series. Raises Refused, with the reason."""
    with flow.database.write() as session:
        find(session, uid)
        series = series_rows.lock(session, [uid])[uid]
        try:
            row = ask(flow, session, series, asked, person.name, database_now(session))
        except NotNow as error:
            raise Refused(str(error), "conflict") from error
        except ValueError as error:
            raise Refused(str(error)) from error
        return Run(row.id, row.state, tuple(asked.destinations))
