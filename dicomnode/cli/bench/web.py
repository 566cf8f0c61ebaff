"""`bench web`."""

import tempfile
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import Progress
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from dicomnode.cli.common import JsonOption, fail, print_json, print_table

GOALS = {"sqlite": 300.0, "postgresql": 150.0}
"""Milliseconds that the 95th percentile of each list is to stay below."""


def web(
    database: Annotated[
        str,
        typer.Option(help="URL of a database beside which the bench makes its own; by default SQLite in a new folder."),
    ] = "",
    series: Annotated[int, typer.Option(min=20, help="Series.")] = 20_000,
    instances: Annotated[int, typer.Option(min=20, help="Instances of all series together.")] = 1_000_000,
    events: Annotated[int, typer.Option(min=100, help="Rows of the audit log.")] = 2_000_000,
    users: Annotated[int, typer.Option(min=1, help="Who ask at the same time.")] = 10,
    rounds: Annotated[int, typer.Option(min=1, help="How often each user asks for everything.")] = 3,
    think: Annotated[float, typer.Option(min=0, help="Seconds between a user's requests, on the average.")] = 1.0,
    folder: Annotated[Path | None, typer.Option("--dir", help="Folder on the disk to measure on.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Milliseconds for each list's first page, a deep one, and each filter with no, one and many hits."""
    from dicomnode.cli.bench.web_rows import Size

    size = Size(series, max(instances, series), events)
    with tempfile.TemporaryDirectory(prefix="dicomnode-bench-", dir=folder) as own:
        try:
            document = _measure(database, Path(own), size, users, rounds, think)
        except (ArgumentError, SQLAlchemyError) as error:
            fail(str(error))
    if as_json:
        print_json(document)
    else:
        _tell(document)


def _measure(url: str, folder: Path, size: Any, users: int, rounds: int, think: float) -> dict[str, Any]:
    # Imported here: what measures is needed by no other command.
    from dicomnode.cli.bench.ledger_rows import scratch
    from dicomnode.cli.bench.machine import machine
    from dicomnode.cli.bench.web_asks import asks
    from dicomnode.cli.bench.web_rows import fill
    from dicomnode.cli.bench.web_run import Quantiles, measure
    from dicomnode.db.database import Database
    from dicomnode.settings import Settings

    console = Console(stderr=True)
    parsed = make_url(url or f"sqlite:///{folder}/web")
    (folder / "store").mkdir()
    with scratch(parsed, "web") as own, Progress(console=console) as progress:
        opened = Database(own, patience=None)  # filling a table is one statement of minutes
        filling = progress.add_task("filling", total=None)
        fill(opened, size, lambda table: progress.update(filling, description=f"filling {table}"))
        opened.close()
        settings = Settings(database={"url": own}, store={"root": folder / "store"}, audit={"anchors": ""})
        middle = (datetime.now(UTC) - timedelta(days=182)).isoformat()
        wanted = asks(size, middle)
        asking = progress.add_task("asking", total=len(wanted) * users * rounds)
        times = measure(settings, wanted, users, rounds, think, lambda count: progress.advance(asking, count))
    if times.failed:
        fail(f"{len(times.failed)} answers were errors, the first: {times.failed[0]}")
    goal = GOALS[parsed.get_backend_name()]
    rows = [
        {"list": ask.list, "what": ask.what, "hits": ask.hits, **asdict(Quantiles.of(seconds)), "path": ask.path}
        for ask, seconds in sorted(times.by_ask.items(), key=lambda item: (item[0].list, wanted.index(item[0])))
    ]
    return {
        "machine": machine(),
        "database": parsed.get_backend_name(),
        "size": asdict(size),
        "users": users,
        "answers_each": users * rounds,
        "think_seconds": think,
        "goal_ms": goal,
        "reached": all(row["p95"] < goal for row in rows),
        "first_ms": round(1000 * max(times.first), 1),
        "rows": rows,
    }


def _tell(document: Mapping[str, Any]) -> None:
    about, size = document["machine"], document["size"]
    print(
        f"{document['database']} on {about['processor']}, {about['cores']} cores, load {about['load_average']}; "
        f"{size['series']} series, {size['instances']} instances, {size['events']} events; {document['users']} users, "
        f"{document['answers_each']} answers each, one request in {document['think_seconds']:g} s by each user"
    )
    shown = [{**row, **{name: f"{row[name]:.0f}" for name in ("median", "p95", "worst")}} for row in document["rows"]]
    print_table(shown, False, "", ("list", "what", "hits", "median", "p95", "worst"))
    worst = max(document["rows"], key=lambda row: float(row["p95"]))
    print(f"the slowest of all requests that were the first of their kind: {document['first_ms']:.0f} ms")
    said = "reached" if document["reached"] else "NOT REACHED"
    print(f"p95 below {document['goal_ms']:.0f} ms: {said}; the slowest is {worst['path']} with {worst['p95']:.0f} ms")
