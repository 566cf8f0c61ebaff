"""The node itself: its disk, its index, its processes, its clock, the other nodes, pipelines that rules ask for."""

from collections.abc import Iterator, Mapping
from urllib.parse import quote

from sqlalchemy.orm import Session

from dicomnode.db.repositories import series as series_rows
from dicomnode.db.repositories import set_aside, today
from dicomnode.db.repositories.set_aside import SET_ASIDE
from dicomnode.desk.live import Live
from dicomnode.desk.troubles.trouble import Grade, Trouble, plural, sentence
from dicomnode.domain.finding import Finding, Severity
from dicomnode.flow import Flow
from dicomnode.flow.upkeep.surroundings import folder, nodes_that_fell_silent, rules_without_pipeline

_ADVICE = ("folder.open", "folder.file_system")
"""What does not change from day to day; the check-up tells of it."""
_SEVERITIES: Mapping[Severity, Grade] = {
    Severity.ERROR: "failure",
    Severity.WARNING: "warning",
    Severity.INFO: "notice",
}


def of_machine(flow: Flow, session: Session, live: Live) -> Iterator[Trouble]:
    """What hinders the node as such."""
    yield from _disk(flow)
    yield from _processes(session, live)
    yield from _set_aside(session)
    yield from _put_off(flow, session)
    for found in rules_without_pipeline(flow):
        message = f"The rule {found.subject.removeprefix('rule:')} enhances nothing: {found.message}."
        yield Trouble(found.kind, "failure", message, _way_out(found), "/pipelines")
    for found in nodes_that_fell_silent(flow):
        name = found.subject.removeprefix("node:")
        message = f"The node {name} is silent: {sentence(found.message)}"
        yield Trouble(found.kind, "warning", message, _way_out(found), "/system")


def _disk(flow: Flow) -> Iterator[Trouble]:
    for found in folder(flow.settings.store):
        if found.kind in _ADVICE:
            continue
        message = f"The disk of the store: {sentence(found.message)}"
        yield Trouble(found.kind, _SEVERITIES[found.severity], message, _way_out(found), "/system")


def _processes(session: Session, live: Live) -> Iterator[Trouble]:
    if not live.listening:
        message = "No images are received: not every receiving process takes associations."
        way_out = "They are started again by themselves; if this stays, read the node's log and start it again."
        yield Trouble("receiver", "failure", message, way_out, "/system")
    if live.refusal:
        message = f"No images are accepted: {live.refusal}; {live.backlog} wait for the index. Senders try again."
        way_out = "Look whether the database answers and has room; what was acknowledged is safe meanwhile."
        yield Trouble("index", "failure", message, way_out, "/system")
    if live.workers and not live.workers_alive and today.open_jobs(session)["ready"]:
        message = "Jobs wait, and no worker process runs."
        yield Trouble("workers", "failure", message, "Read the node's log: it says why workers end.", "/system")
    for loop in live.loops:
        if loop.trouble or not loop.alive:
            why = loop.trouble or "it has ended"
            message = f"The background loop {loop.name} does not get on: {sentence(why)} It tries again every second."
            yield Trouble(
                "loop", "failure", message, "Look whether the database answers.", f"/system#loop-{quote(loop.name)}"
            )


def _set_aside(session: Session) -> Iterator[Trouble]:
    """What was acknowledged and shows nowhere else: no list, no rule and no search knows of it."""
    if waiting := set_aside.waiting(session):
        count = len(waiting)
        words = f"{count} stored {plural(count, 'member')} could not be indexed: {plural(count, 'it is', 'they are')}"
        message = f"{words} kept, and neither shown nor enhanced. This is a fault of the node."
        way_out = "Report it with the reason that the audit log gives; it is tried again every hour and at every start."
        yield Trouble("set_aside", "failure", message, way_out, f"/audit?kind={SET_ASIDE}", count=count)


def _put_off(flow: Flow, session: Session) -> Iterator[Trouble]:
    """Series that this node has tried to complete in vain; another node may have done it meanwhile."""
    failed = [row for row in series_rows.of(session, flow.put_off.uids()).values() if row.state == "receiving"]
    if failed:
        words = f"{len(failed)} series cannot be completed: no rule is asked about {plural(len(failed), 'it', 'them')}."
        way_out = "The log says why. The others go on, and it is tried again every five minutes or sooner."
        href = f"/series/{quote(failed[0].uid)}" if len(failed) == 1 else "/audit?kind=series.put_off"
        yield Trouble("put_off", "failure", words, way_out, href, count=len(failed))


def _way_out(found: Finding) -> str:
    return sentence(_capital(found.way_out))


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
