"""The stop switch: enhance nothing, on any node; originals flow."""

from dicomnode.db.models import Hold
from dicomnode.db.repositories import holds
from dicomnode.desk.person import Person
from dicomnode.flow import Flow
from dicomnode.jobs import switches


def stopped(flow: Flow) -> Hold | None:
    """Who stopped enhancing, when and why; None: it goes on."""
    with flow.database.read() as session:
        return holds.held(session, holds.ENHANCING)


def stop(flow: Flow, person: Person, reason: str) -> bool:
    """Jobs in hand are given back, derived series that wait are not sent. False: it was stopped already."""
    with flow.database.write() as session:
        return switches.stop_enhancing(session, person.name, reason, flow.node)


def start(flow: Flow, person: Person) -> bool:
    """What waited meanwhile is done, unless its deadline has passed. False: it was not stopped."""
    with flow.database.write() as session:
        return switches.start_enhancing(session, person.name, flow.node)
