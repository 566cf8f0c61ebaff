"""`deliveries list|show`."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import typer
from sqlalchemy.orm import Session

from dicomnode.cli.common import (
    ConfigOption,
    JsonOption,
    LimitOption,
    fail,
    flow_of,
    print_json,
    print_table,
    require_state,
)
from dicomnode.db.models import Delivery
from dicomnode.db.repositories import deliveries, holds, outages
from dicomnode.desk.queue import DELIVERY_STATES

app = typer.Typer(help="What was sent where, instance by instance.", no_args_is_help=True)
Id = Annotated[int, typer.Argument(help="Number of the delivery.")]


@app.command("list")
def list_(
    config: ConfigOption = None,
    limit: LimitOption = 50,
    state: Annotated[str | None, typer.Option(help=f"One of {', '.join(DELIVERY_STATES)}.")] = None,
    destination: Annotated[str | None, typer.Option(help="To this destination alone.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Deliveries, the newest first, with what is still open and why."""
    require_state(state, DELIVERY_STATES, "delivery")
    flow = flow_of(config)
    with flow.database.read() as session:
        waits = _waits(session)
        rows = [
            {**_row(row, deliveries.counts(session, row.id)), "waits_for": _waits_for(row, waits)}
            for row in deliveries.listing(session, limit, state, destination)
        ]
    shown = rows if as_json else [{**row, "instances": _words(row["instances"]), "why": _why(row)} for row in rows]
    columns = ("id", "destination", "state", "instances", "attempts", "created_at", "why", "series_uid")
    print_table(shown, as_json, "no delivery fits" if state or destination else "there are no deliveries", columns)


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
        print(f"delivery {id} to {row.destination} is {row.state}: {_words(document['instances'])}{warned}")
        for line in dict.fromkeys(_told(row, document["waits_for"])):
            print(f"  {line}")
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


def _words(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {state}" for state, count in sorted(counts.items())) or "no instances"


def _why(row: Mapping[str, Any]) -> str:
    """The one thing that somebody who looks at a list should know of it."""
    return str(row["waits_for"] or row["reason"] or row["confirmation"])


def _told(row: Delivery, waits_for: str) -> Iterator[str]:
    """What there is to say of it, and the way on where it needs somebody."""
    if waits_for:
        yield f"waits for {waits_for}"
    elif row.reason:
        yield row.reason
    if row.confirmation:
        yield f"kept? {row.confirmation}"
    if row.state == "sent" and row.confirm_at is not None:
        yield f"asked again whether it is kept at {row.confirm_at.astimezone():%Y-%m-%d %H:%M:%S}"
    elif row.state == "sent" and row.confirmation:
        yield f"nobody asks any more: `dicomnode deliveries confirm {row.id}` does"
    if row.state == "failed":
        yield f"`dicomnode deliveries retry {row.id}` sends what is left"


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
