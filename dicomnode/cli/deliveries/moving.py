"""`deliveries retry|cancel|reroute|confirm`: one delivery, several, or all that fit."""

from collections.abc import Sequence
from typing import Annotated

import typer

from dicomnode.cli.bulk import end, fail_if_one_is_refused, refused_rows, require_one_way
from dicomnode.cli.common import ConfigOption, JsonOption, flow_of, in_a_sentence, print_json, who
from dicomnode.db.repositories.delivery_list import DeliveryFilter
from dicomnode.desk import deliveries
from dicomnode.desk.bulk import Result

Ids = Annotated[list[int] | None, typer.Argument(help="Numbers of the deliveries.", metavar="ID...")]
StateOption = Annotated[list[str] | None, typer.Option("--state", help="All in this state; may be repeated.")]
DestinationOption = Annotated[str, typer.Option("--destination", help="All to this destination.")]
SeriesOption = Annotated[str, typer.Option("--series", help="All of this series (UID).")]
AllOption = Annotated[bool, typer.Option("--all", help="All of them.")]
WHICH = "say which: deliveries by their numbers, or by --state, --destination and --series, or --all of them"
WHICH_TO_ASK = WHICH.replace("--state, ", "")


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
    flow, which = flow_of(config), _which(ids, state, destination, series, everything)
    with in_a_sentence():
        result = deliveries.retry(flow, who(), which)
    _tell(result, "will be sent again", ids or (), as_json)


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
    flow, which = flow_of(config), _which(ids, state, destination, series, everything)
    with in_a_sentence():
        result = deliveries.cancel(flow, who(), which)
    _tell(result, "will not be sent", ids or (), as_json)


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
    flow, which = flow_of(config), _which(ids, state, destination, series, everything)
    with in_a_sentence():
        result = deliveries.reroute(flow, who(), which, to)
    _tell(result, f"will be sent to {to}", ids or (), as_json)


def confirm(
    ids: Ids = None,
    config: ConfigOption = None,
    destination: DestinationOption = "",
    series: SeriesOption = "",
    everything: AllOption = False,
    as_json: JsonOption = False,
) -> None:
    """Ask again whether it is kept, where nobody knows and nobody asks any more; by number in any case."""
    require_one_way(WHICH_TO_ASK, ids or (), (destination, series), everything)
    flow, which = flow_of(config), ids or DeliveryFilter((), destination, series)
    with in_a_sentence():
        result = deliveries.confirm(flow, who(), which)
    _tell(result, "will be asked about again", ids or (), as_json)


def _which(
    ids: list[int] | None, states: list[str] | None, destination: str, series: str, everything: bool
) -> deliveries.Which:
    require_one_way(WHICH, ids or (), (states, destination, series), everything)
    return ids or DeliveryFilter(tuple(states or ()), destination, series)


def _tell(result: Result, what: str, ids: Sequence[int], as_json: bool) -> None:
    fail_if_one_is_refused(result, ids)
    moved, instances = list(result.done), sum(result.done.values())
    if len(ids) == 1:
        print_json({"id": moved[0], "instances": instances}) if as_json else print(f"{instances} instances {what}")
    elif as_json:
        refused = refused_rows(result)
        print_json({"count": len(moved), "instances": instances, "deliveries": moved, "refused": refused})
    elif moved:
        print(f"{instances} instances of {len(moved)} deliveries {what}")
    elif not result.refused:
        print("no delivery fits")
    end(result, "delivery", as_json)
