"""`deliveries list|show`."""

from collections.abc import Mapping
from typing import Annotated, Any

import typer
from sqlalchemy.orm import Session

from dicomnode.cli.common import ConfigOption, JsonOption, LimitOption, fail, flow_of, print_json, print_table
from dicomnode.db.models import Delivery
from dicomnode.db.repositories import deliveries, holds, outages

app = typer.Typer(help="What was sent where, instance by instance.", no_args_is_help=True)
Id = Annotated[int, typer.Argument(help="Number of the delivery.")]


@app.command("list")
def list_(
    config: ConfigOption = None,
    limit: LimitOption = 50,
    state: Annotated[
        str | None, typer.Option(help="pending, sending, sent, verified, committed, failed or cancelled.")
    ] = None,
    destination: Annotated[str | None, typer.Option(help="To this destination alone.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Deliveries, the newest first, with what is still open and why."""
    flow = flow_of(config)
    with flow.database.read() as session:
        waits = _waits(session)
        rows = [
            {**_row(row, deliveries.counts(session, row.id)), "waits_for": _waits_for(row, waits)}
            for row in deliveries.listing(session, limit, state, destination)
        ]
    about = ("id", "destination", "state", "instances", "attempts", "not_before")
    columns = (*about, "reason", "waits_for", "confirmation", "series_uid")
    print_table(rows, as_json, "there are no deliveries", columns)


@app.command("show")
def show(id: Id, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """One delivery: every instance with the status that the destination gave."""
    flow = flow_of(config)
    with flow.database.read() as session:
        row = deliveries.find(session, id)
        if row is None:
            fail(f"there is no delivery {id}")
        items = [
            {
                "sop_uid": item.sop_uid,
                "state": item.state,
                "status": None if item.status is None else f"{item.status:04X}",
                "attempts": item.attempts,
                "detail": item.detail,
                "sent_at": item.sent_at,
                "confirmed_by": item.confirmed_by,
                "confirmed_at": item.confirmed_at,
            }
            for item in deliveries.items(session, id)
        ]
        document = {
            **_row(row, deliveries.counts(session, id)),
            "waits_for": _waits_for(row, _waits(session)),
            "warnings": deliveries.warnings(session, id),
            "items": items,
        }
    if as_json:
        print_json(document)
    else:
        warned = f", {document['warnings']} with a warning" if document["warnings"] else ""
        print(f"delivery {id} to {row.destination}: {row.state} {row.reason or row.confirmation}{warned}")
        print_table(items, False, "it has no instances")


def _waits(session: Session) -> dict[str, str]:
    """Why nothing goes to a destination now, by its name; what people decided before what the network did."""
    down = {row.destination: f"the destination, which is down: {row.reason}" for row in outages.listing(session)}
    paused = {
        row.name: f"`destinations resume {row.name}`: {row.by} paused it"
        for row in holds.listing(session)
        if row.kind == holds.DESTINATION
    }
    return {**down, **paused}


def _waits_for(row: Delivery, waits: Mapping[str, str]) -> str:
    return waits.get(row.destination, "") if row.state == "pending" else ""


def _row(row: Delivery, counts: dict[str, int]) -> dict[str, Any]:
    return {
        "id": row.id,
        "destination": row.destination,
        "state": row.state,
        "subject": row.subject,
        "rule": row.rule,
        "series_uid": row.series_uid,
        "enhancement_id": row.enhancement_id,
        "priority": row.priority,
        "node": row.node,
        "instances": counts,
        "attempts": row.attempts,
        "not_before": row.not_before,
        "reason": row.reason,
        "confirmation": row.confirmation,
        "confirm_at": row.confirm_at,
        "created_at": row.created_at,
        "finished_at": row.finished_at,
    }
