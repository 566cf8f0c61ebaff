"""`deliveries list|show|retry`."""

from typing import Annotated, Any

import typer

from dicomnode.cli.common import ConfigOption, JsonOption, LimitOption, actor, fail, flow_of, print_json, print_table
from dicomnode.db.models import Delivery
from dicomnode.db.repositories import deliveries
from dicomnode.deliver.orders import requeue

app = typer.Typer(help="What was sent where, instance by instance.", no_args_is_help=True)
Id = Annotated[int, typer.Argument(help="Number of the delivery.")]


@app.command("list")
def list_(
    config: ConfigOption = None,
    limit: LimitOption = 50,
    state: Annotated[str | None, typer.Option(help="pending, sending, sent, failed or cancelled.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Deliveries, the newest first, with what is still open and why."""
    flow = flow_of(config)
    with flow.database.read() as session:
        rows = [_row(row, deliveries.counts(session, row.id)) for row in deliveries.listing(session, limit, state)]
    columns = ("id", "destination", "state", "instances", "attempts", "not_before", "reason", "series_uid")
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
            }
            for item in deliveries.items(session, id)
        ]
        document = {**_row(row, deliveries.counts(session, id)), "items": items}
    if as_json:
        print_json(document)
    else:
        print(f"delivery {id} to {row.destination}: {row.state} {row.reason}")
        print_table(items, False, "it has no instances")


@app.command("retry")
def retry(id: Id, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Send the failed instances of a dead letter again."""
    flow = flow_of(config)
    with flow.database.write() as session:
        row = deliveries.find(session, id)
        if row is None:
            fail(f"there is no delivery {id}")
        try:
            count = requeue(session, row, actor(), flow.node)
        except ValueError as error:
            fail(str(error))
    print_json({"id": id, "instances": count}) if as_json else print(f"{count} instances will be sent again")


def _row(row: Delivery, counts: dict[str, int]) -> dict[str, Any]:
    return {
        "id": row.id,
        "destination": row.destination,
        "state": row.state,
        "subject": row.subject,
        "rule": row.rule,
        "series_uid": row.series_uid,
        "enhancement_id": row.enhancement_id,
        "instances": counts,
        "attempts": row.attempts,
        "not_before": row.not_before,
        "reason": row.reason,
        "created_at": row.created_at,
        "finished_at": row.finished_at,
    }
