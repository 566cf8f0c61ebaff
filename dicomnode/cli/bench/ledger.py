"""`bench ledger`."""

import tempfile
from collections.abc import Mapping
from dataclasses import asdict
from typing import Annotated, Any

import typer
from rich.console import Console
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from dicomnode.cli.bench.ledger_rows import plan, scratch
from dicomnode.cli.bench.ledger_run import LAPSED_SHARE, Throughput, claim_times, throughput
from dicomnode.cli.bench.machine import machine
from dicomnode.cli.common import JsonOption, fail, print_json
from dicomnode.db.database import Database


def ledger(
    database: Annotated[
        str,
        typer.Option(help="URL of a database beside which the bench makes its own; by default SQLite in a new folder."),
    ] = "",
    jobs: Annotated[int, typer.Option(min=1, help="Jobs that wait at the start of each run.")] = 10_000,
    claimers: Annotated[str, typer.Option(help="Numbers of worker processes, one run for each.")] = "1,4,16",
    finished: Annotated[int, typer.Option(min=1, help="Finished jobs beside which a claim is measured.")] = 1_000_000,
    claims: Annotated[int, typer.Option(min=10, help="Claims of which the median is taken.")] = 500,
    as_json: JsonOption = False,
) -> None:
    """Jobs per second from ready to done, and what a claim costs beside many finished jobs."""
    try:
        numbers = [int(number) for number in claimers.split(",")]
    except ValueError:
        fail(f"--claimers takes numbers such as 1,4,16, not {claimers}")
    if min(numbers) < 1:
        fail("--claimers takes numbers from 1 on")
    with tempfile.TemporaryDirectory(prefix="dicomnode-bench-") as folder:
        try:
            document = _measure(make_url(database or f"sqlite:///{folder}/ledger"), jobs, numbers, finished, claims)
        except (ArgumentError, SQLAlchemyError, TimeoutError) as error:
            fail(str(error))
    if as_json:
        print_json(document)
    else:
        _tell(document, Console())


def _measure(url: URL, jobs: int, claimers: list[int], finished: int, claims: int) -> dict[str, Any]:
    runs = []
    for number in claimers:
        with scratch(url, f"claimers_{number}") as own:
            runs.append(throughput(own, jobs, number))
    with scratch(url, "empty") as empty, scratch(url, "finished") as beside:
        claim = claim_times(empty, beside, finished, claims)
        opened = Database(beside)
        way = plan(opened)
        opened.close()
    return {
        "machine": machine(),
        "database": url.get_backend_name(),
        "lapsed_share": LAPSED_SHARE,
        "ready_to_done": [_run(run) for run in runs],
        "claim": {**asdict(claim), "ratio": claim.ratio},
        "plan": way,
    }


def _run(run: Throughput) -> dict[str, Any]:
    return {**asdict(run), "per_second": run.per_second}


def _tell(document: Mapping[str, Any], console: Console) -> None:
    about, claim = document["machine"], document["claim"]
    lines = [
        f"{document['database']} on {about['processor']}, {about['cores']} cores, load {about['load_average']}",
        *(
            f"{run['claimers']:3} claimers: {run['per_second']:6.0f} jobs/s from ready to done "
            f"({run['jobs']} jobs of four priorities, {document['lapsed_share']:.0%} with a lapsed lease, "
            f"{run['commits']} commits)"
            for run in document["ready_to_done"]
        ),
        f"a claim: {claim['empty_ms']:.2f} ms on an empty ledger, {claim['beside_ms']:.2f} ms beside "
        f"{claim['finished']} finished jobs: {claim['ratio']:.2f} x (medians of {claim['claims']}, in turns)",
        *(f"    {line}" for line in document["plan"]),
    ]
    for line in lines:
        console.print(line, markup=False, highlight=False, soft_wrap=True)
