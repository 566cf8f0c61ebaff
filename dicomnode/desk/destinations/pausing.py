"""Send nothing to a destination for a while."""

from dicomnode.audit.events import record
from dicomnode.db.repositories import holds, outages
from dicomnode.desk.person import Person
from dicomnode.desk.refused import Refused
from dicomnode.flow import Flow


def pause(flow: Flow, person: Person, name: str, reason: str) -> bool:
    """Nothing more goes to it, from any node; the instance on the wire is the last. False: it was paused already.

    Raises Refused for a destination that there is not.
    """
    _require(flow, name)
    with flow.database.write() as session:
        changed = holds.hold(session, holds.DESTINATION, name, person.name, reason)
        if changed:
            message = f"{person.name} paused {name}" + (f": {reason}" if reason else "")
            subject = f"destination:{name}"
            record(session, "destination.paused", message, node=flow.node, actor=person.name, subject=subject)
    return changed


def resume(flow: Flow, person: Person, name: str) -> tuple[bool, bool]:
    """Send to it again; if it was down, it is tried now, without waiting for the next attempt.

    Returns whether it was paused, and whether it was down. Raises Refused for a destination that there is not.
    """
    _require(flow, name)
    with flow.database.write() as session:
        released = holds.release(session, holds.DESTINATION, name)
        asked = outages.ask_now(session, name)
        if released or asked:
            done = f"lets {name} be sent to again" if released else f"has {name} tried again now"
            message, subject = f"{person.name} {done}", f"destination:{name}"
            record(session, "destination.resumed", message, node=flow.node, actor=person.name, subject=subject)
    return released, asked


def _require(flow: Flow, name: str) -> None:
    """One that was taken out of the site while it was paused can still be resumed."""
    with flow.database.read() as session:
        known = flow.site.get(session)[1].destination(name) is not None
        held = holds.held(session, holds.DESTINATION, name) is not None
    if not known and not held:
        raise Refused(f"there is no destination {name!r}", "missing")
