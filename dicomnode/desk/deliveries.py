"""What people do to deliveries: send again, cancel, send elsewhere, have destinations asked again."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from sqlalchemy.orm import Session

from dicomnode.db.models import Delivery
from dicomnode.db.repositories import deliveries, delivery_list
from dicomnode.db.repositories.delivery_list import DeliveryFilter
from dicomnode.deliver import orders
from dicomnode.desk.bulk import Result, Verb, each
from dicomnode.desk.person import Person
from dicomnode.desk.refused import Refused
from dicomnode.flow import Flow

RETRY = Verb("retry", "delivery", ("failed",), orders.AGAIN)
CANCEL = Verb("cancel", "delivery", orders.OPEN, orders.OPEN)
REROUTE = Verb("reroute", "delivery", orders.OPEN, orders.OPEN)
CONFIRM = Verb("confirm", "delivery", orders.ASKABLE, orders.ASKABLE)
VERBS = {verb.name: verb for verb in (RETRY, CANCEL, REROUTE, CONFIRM)}

Which = Sequence[int] | DeliveryFilter
"""Deliveries by their numbers, or all that fit."""


def numbers(flow: Flow, which: Which, verb: Verb) -> Sequence[int]:
    """The numbers of the deliveries that are meant. Raises Refused."""
    if not isinstance(which, DeliveryFilter):
        return sorted(set(which))
    with flow.database.read() as session:
        wanted = replace(which, states=verb.states(which.states), given_up=verb is CONFIRM)
        return delivery_list.numbers(session, wanted)


def retry(flow: Flow, person: Person, which: Which, within: float | None = None) -> Result:
    """Send again what dead letters lack, or what was cancelled; `Result.done` counts instances. Raises Refused."""
    ids = numbers(flow, which, RETRY)
    return _each(flow, ids, lambda session, row: orders.requeue(session, row, person.name, flow.node), within)


def cancel(flow: Flow, person: Person, which: Which, within: float | None = None) -> Result:
    """Send nothing more of them; the instance on the wire is the last. `Result.done` counts instances."""
    ids = numbers(flow, which, CANCEL)
    return _each(flow, ids, lambda session, row: orders.cancel(session, row, person.name, flow.node), within)


def reroute(flow: Flow, person: Person, which: Which, to: str, within: float | None = None) -> Result:
    """Send what was not sent yet to the destination `to`. `Result.done` counts instances. Raises Refused."""
    _require_destination(flow, to)
    ids = numbers(flow, which, REROUTE)
    return _each(flow, ids, lambda session, row: orders.reroute(session, row, to, person.name, flow.node), within)


def confirm(flow: Flow, person: Person, which: Which, within: float | None = None) -> Result:
    """Ask the destination again whether it keeps what it took: by number also what it is being asked about, else what
    it is not asked about any more. `Result.done` counts instances. Raises Refused."""
    with flow.database.read() as session:
        _, site = flow.site.get(session)

    def act(session: Session, row: Delivery) -> int:
        entry = site.destination(row.destination)
        if entry is None:
            raise ValueError(f"delivery {row.id} went to {row.destination}, which the site data do not have any more")
        if entry.confirm == "none":
            said = f"delivery {row.id} went to {entry.name}, which is never asked (`confirm: none`)"
            raise ValueError(f"{said}: give it another `confirm` in the site data first")
        return orders.ask_again(session, row, person.name, flow.node)

    return _each(flow, numbers(flow, which, CONFIRM), act, within)


def _require_destination(flow: Flow, name: str) -> None:
    with flow.database.read() as session:
        found = flow.site.get(session)[1].destination(name)
    if found is None:
        raise Refused(f"there is no destination {name!r}")
    if not found.enabled:
        raise Refused(f"the destination {name!r} is not enabled")


def _each(flow: Flow, ids: Sequence[int], act: Callable[[Session, Delivery], int], within: float | None) -> Result:
    def one(session: Session, id: int) -> int:
        row = deliveries.lock(session, id)
        if row is None:
            raise ValueError(f"there is no delivery {id}")
        return act(session, row)

    return each(flow, ids, one, within)
