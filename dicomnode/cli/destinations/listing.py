"""`destinations list`."""

from collections.abc import Mapping
from typing import Any

import typer
from sqlalchemy.orm import Session

from dicomnode.cli.common import ConfigOption, JsonOption, flow_of, print_table
from dicomnode.db.models import Hold, Outage
from dicomnode.db.repositories import deliveries, holds, outages
from dicomnode.domain.site import Destination

app = typer.Typer(help="Where series are sent.", no_args_is_help=True)

STATES = {"network": "down", "resources": "full", "configuration": "stopped"}
"""How a destination with an outage of this kind fares; without one it is up, as far as anybody has tried."""


@app.command("list")
def list_(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """The destinations in force: how each fares and since when, who paused it, and its deliveries by state."""
    flow = flow_of(config)
    with flow.database.read() as session:
        _, site = flow.site.get(session)
        figures = _figures(session)
        paused = {row.name: row for row in holds.listing(session) if row.kind == holds.DESTINATION}
        down = {row.destination: row for row in outages.listing(session)}
    rows = [
        {**_entry(each), **_health(each, paused.get(each.name), down.get(each.name)), **_counts(each.name, figures)}
        for each in site.destinations
    ]
    columns = (
        *("name", "ae_title", "host", "port", "state", "reason", "next_attempt_at"),
        *("deliveries", "stored_with_warning", "refused_instances"),
    )
    empty = "there are no destinations: `dicomnode site import FILE.yaml` brings some"
    print_table(rows, as_json, empty, columns)


Figures = Mapping[str, Mapping[Any, int]]


def _figures(session: Session) -> Figures:
    return {
        "deliveries": deliveries.counts_by_state(session),
        "stored_with_warning": deliveries.warned_by_destination(session),
        "refused_instances": deliveries.refused_by_destination(session),
    }


def _entry(entry: Destination) -> dict[str, Any]:
    return {
        "name": entry.name,
        "ae_title": entry.ae_title,
        "host": entry.host,
        "port": entry.port,
        "tls": entry.tls,
        "enabled": entry.enabled,
    }


def _health(entry: Destination, hold: Hold | None, outage: Outage | None) -> dict[str, Any]:
    """What people decided stands before what the network did."""
    state = STATES[outage.kind] if outage is not None else "up"
    reason = outage.reason if outage is not None else ""
    if hold is not None:
        state, reason = "paused", f"by {hold.by}" + (f": {hold.reason}" if hold.reason else "")
    return {
        "state": state if entry.enabled else "not enabled",
        "reason": reason,
        "paused": None if hold is None else {"by": hold.by, "reason": hold.reason, "since": hold.since},
        "down_since": None if outage is None else outage.since,
        "failed_attempts": 0 if outage is None else outage.attempts,
        "next_attempt_at": None if outage is None or hold is not None else outage.next_at,
    }


def _counts(name: str, figures: Figures) -> dict[str, Any]:
    by_state = {state: count for (of, state), count in figures["deliveries"].items() if of == name}
    return {
        "deliveries": by_state,
        "dead_letters": by_state.get("failed", 0),
        "stored_with_warning": figures["stored_with_warning"].get(name, 0),
        "refused_instances": figures["refused_instances"].get(name, 0),
    }
