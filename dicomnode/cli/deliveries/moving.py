"""`deliveries retry|cancel|reroute`: one delivery, several, or all that fit."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import typer
from sqlalchemy.orm import Session

from dicomnode.cli.bulk import each, given, parted
from dicomnode.cli.common import ConfigOption, JsonOption, actor, fail, flow_of, print_json
from dicomnode.db.models import Delivery
from dicomnode.db.repositories import deliveries
from dicomnode.deliver import orders
from dicomnode.flow import Flow

Ids = Annotated[list[int] | None, typer.Argument(help="Numbers of the deliveries.", metavar="ID...")]
StateOption = Annotated[list[str] | None, typer.Option("--state", help="All in this state; may be repeated.")]
DestinationOption = Annotated[str, typer.Option("--destination", help="All to this destination.")]
SeriesOption = Annotated[str, typer.Option("--series", help="All of this series (UID).")]
AllOption = Annotated[bool, typer.Option("--all", help="All of them.")]
Act = Callable[[Session, Delivery], int]
"""What is done to a locked row. Returns how many instances it concerns; raises ValueError where it cannot be done."""


@dataclass(frozen=True)
class Choice:
    """Which deliveries: those of these numbers, or all that fit."""

    ids: Sequence[int]
    states: Sequence[str]
    destination: str
    series: str
    everything: bool

    def numbers(self, flow: Flow, usual: Sequence[str], possible: Sequence[str]) -> Sequence[int]:
        """Without a state, those in the `usual` ones. Raises CommandFailed for a choice that makes no sense."""
        numbers = given(
            self.ids,
            self.states,
            fitting=bool(self.states or self.destination or self.series),
            everything=self.everything,
            which="say which: deliveries by their numbers, or by --state, --destination and --series, or --all of them",
            noun="delivery",
            possible=possible,
        )
        if numbers is not None:
            return numbers
        with flow.database.read() as session:
            return deliveries.chosen(session, tuple(self.states) or usual, self.destination, self.series)


def retry(
    ids: Ids = None,
    config: ConfigOption = None,
    state: StateOption = None,
    destination: DestinationOption = "",
    series: SeriesOption = "",
    everything: AllOption = False,
    as_json: JsonOption = False,
) -> None:
    """Send again what dead letters lack; by number or --state also what was cancelled."""
    flow, by = flow_of(config), actor()
    choice = Choice(ids or (), state or (), destination, series, everything)
    numbers = choice.numbers(flow, usual=("failed",), possible=orders.AGAIN)
    rows = _each(flow, numbers, lambda session, row: orders.requeue(session, row, by, flow.node))
    _tell(rows, "will be sent again", choice, as_json)


def cancel(
    ids: Ids = None,
    config: ConfigOption = None,
    state: StateOption = None,
    destination: DestinationOption = "",
    series: SeriesOption = "",
    everything: AllOption = False,
    as_json: JsonOption = False,
) -> None:
    """Send nothing more of them; the instance on the wire is the last."""
    flow, by = flow_of(config), actor()
    choice = Choice(ids or (), state or (), destination, series, everything)
    numbers = choice.numbers(flow, usual=orders.OPEN, possible=orders.OPEN)
    rows = _each(flow, numbers, lambda session, row: orders.cancel(session, row, by, flow.node))
    _tell(rows, "will not be sent", choice, as_json)


def reroute(
    to: Annotated[str, typer.Option("--to", help="The destination that is to have it instead.")],
    ids: Ids = None,
    config: ConfigOption = None,
    state: StateOption = None,
    destination: DestinationOption = "",
    series: SeriesOption = "",
    everything: AllOption = False,
    as_json: JsonOption = False,
) -> None:
    """Send what was not sent yet to another destination."""
    flow, by = flow_of(config), actor()
    _require_destination(flow, to)
    choice = Choice(ids or (), state or (), destination, series, everything)
    numbers = choice.numbers(flow, usual=orders.OPEN, possible=orders.OPEN)
    rows = _each(flow, numbers, lambda session, row: orders.reroute(session, row, to, by, flow.node))
    _tell(rows, f"will be sent to {to}", choice, as_json)


def _require_destination(flow: Flow, name: str) -> None:
    with flow.database.read() as session:
        found = flow.site.get(session)[1].destination(name)
    if found is None or not found.enabled:
        fail(f"there is no destination {name!r}" if found is None else f"the destination {name!r} is not enabled")


def _each(flow: Flow, numbers: Sequence[int], act: Act) -> list[dict[str, Any]]:
    def one(session: Session, number: int) -> dict[str, Any]:
        row = deliveries.lock(session, number)
        if row is None:
            raise ValueError(f"there is no delivery {number}")
        return {"instances": act(session, row)}

    return each(flow, numbers, one)


def _tell(rows: Sequence[dict[str, Any]], what: str, choice: Choice, as_json: bool) -> None:
    """Exit 1 if nothing could be done though something was asked for."""
    moved, refused = parted(rows)
    instances = sum(row["instances"] for row in moved)
    if len(choice.ids) == 1:
        if refused:
            fail(refused[0]["reason"])
        print_json({"id": rows[0]["id"], "instances": instances}) if as_json else print(f"{instances} instances {what}")
        return
    if as_json:
        numbers = [row["id"] for row in moved]
        print_json({"count": len(moved), "instances": instances, "deliveries": numbers, "refused": refused})
    else:
        print(f"{instances} instances of {len(moved)} deliveries {what}")
        for left in refused:
            print(f"  not delivery {left['id']}: {left['reason']}")
    if refused and not moved:
        raise typer.Exit(1)
