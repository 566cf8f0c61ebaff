"""`destinations list`."""

from typing import Any

import typer

from dicomnode.cli.common import ConfigOption, JsonOption, flow_of, print_table
from dicomnode.desk.destinations import health
from dicomnode.desk.destinations.health import Fares, Health
from dicomnode.domain.site import Destination

app = typer.Typer(help="Where series are sent.", no_args_is_help=True)


@app.command("list")
def list_(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """The destinations in force: how each fares and since when, who paused it, and its deliveries by state."""
    rows = [{**_entry(row.entry), **_health(row.health), **_counts(row)} for row in health.listing(flow_of(config))]
    columns = (
        *("name", "ae_title", "host", "port", "state", "reason", "next_attempt_at"),
        *("deliveries", "stored_with_warning", "refused_instances"),
    )
    empty = "there are no destinations: `dicomnode site import FILE.yaml` brings some"
    print_table(rows, as_json, empty, columns)


def _entry(entry: Destination) -> dict[str, Any]:
    return {
        "name": entry.name,
        "ae_title": entry.ae_title,
        "host": entry.host,
        "port": entry.port,
        "tls": entry.tls,
        "enabled": entry.enabled,
    }


def _health(found: Health) -> dict[str, Any]:
    hold, outage = found.hold, found.outage
    return {
        "state": found.state,
        "reason": found.reason,
        "paused": None if hold is None else {"by": hold.by, "reason": hold.reason, "since": hold.since},
        "down_since": None if outage is None else outage.since,
        "failed_attempts": 0 if outage is None else outage.attempts,
        "next_attempt_at": found.next_attempt_at,
    }


def _counts(row: Fares) -> dict[str, Any]:
    return {
        "deliveries": dict(row.deliveries),
        "dead_letters": row.deliveries.get("failed", 0),
        "stored_with_warning": row.stored_with_warning,
        "refused_instances": row.refused_instances,
    }
