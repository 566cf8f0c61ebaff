"""`bench replay`."""

import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import Progress
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from dicomnode.app import build_flow
from dicomnode.cli.bench.ledger_rows import scratch
from dicomnode.cli.bench.machine import machine
from dicomnode.cli.bench.replay_rows import fill, sites
from dicomnode.cli.common import JsonOption, fail, print_json, who
from dicomnode.desk.rules.publish import import_site
from dicomnode.desk.rules.replay import start_replay
from dicomnode.desk.rules.replaying.running import PROCESSES, run_replay
from dicomnode.settings import Settings

DAYS = 30


def replay(
    database: Annotated[
        str,
        typer.Option(help="URL of a database beside which the bench makes its own; by default SQLite in a new folder."),
    ] = "",
    series: Annotated[int, typer.Option(min=1, help="Series of the past.")] = 100_000,
    processes: Annotated[int, typer.Option(min=0, help="That look at them; 0: the one that asks.")] = PROCESSES,
    rounds: Annotated[int, typer.Option(min=1, help="How often; the first finds the database's pages cold.")] = 2,
    as_json: JsonOption = False,
) -> None:
    """Series per second of a replay: a dozen rules against thirteen, four of which differ, on facts of real files."""
    with tempfile.TemporaryDirectory(prefix="dicomnode-bench-") as folder:
        try:
            document = _measure(
                make_url(database or f"sqlite:///{folder}/past"), Path(folder), series, processes, rounds
            )
        except (ArgumentError, SQLAlchemyError) as error:
            fail(str(error))
    if as_json:
        print_json(document)
    else:
        _tell(document, Console())


def _measure(url: URL, folder: Path, series: int, processes: int, rounds: int) -> dict[str, Any]:
    before, after = sites()
    with scratch(url, "replay") as own:
        flow = build_flow(Settings(database={"url": own}, store={"root": folder / "store"}))
        began = time.monotonic()
        size = fill(flow.database, series, DAYS - 1)
        filled = time.monotonic() - began
        import_site(flow, who(), before.to_document(), "bench")
        runs = []
        with Progress(console=Console(stderr=True), transient=True) as bar:
            for number in range(rounds):
                task = bar.add_task(f"round {number + 1}", total=series)
                found = run_replay(
                    flow,
                    start_replay(flow, who(), after, days=DAYS, inline=True),
                    lambda done, total, task=task: bar.update(task, completed=done, total=total),  # type: ignore[misc]
                    processes=processes,
                )
                if found.state != "done":
                    fail(f"the replay {found.state}: {found.reason}")
                runs.append({key: found.result[key] for key in ("summary", "seconds", "per_second")})
        flow.database.close()
    return {"machine": machine(), "database": url.get_backend_name(), "series": series, "facts_bytes": size,
            "filled_seconds": round(filled, 1), "processes": processes, "rounds": runs}  # fmt: skip


def _tell(document: Mapping[str, Any], console: Console) -> None:
    about = document["machine"]
    lines = [
        f"{document['database']} on {about['processor']}, {about['cores']} cores, load {about['load_average']}",
        f"{document['series']} series, {document['facts_bytes'] / 1000:.1f} KB of facts each, "
        f"{document['processes']} processes",
        *(
            f"{run['seconds']:7.1f} s, {run['per_second']:8.0f} series/s: {run['summary']}"
            for run in document["rounds"]
        ),
    ]
    for line in lines:
        console.print(line, markup=False, highlight=False, soft_wrap=True)
