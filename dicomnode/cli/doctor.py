"""`doctor`: is everything as it should be, and what can be done where it is not."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress, TaskID

from dicomnode.app import build_flow
from dicomnode.cli.common import ConfigOption, JsonOption, fail, print_json, settings_of
from dicomnode.desk.system import refused_models
from dicomnode.domain.finding import Finding
from dicomnode.flow.upkeep.checkup import Wanted, check_up
from dicomnode.store.hold import taken_over
from dicomnode.store.lock import ALL, runs

_MARKS = {"error": "ERROR  ", "warning": "warning", "info": "info   "}


def doctor(
    config: ConfigOption = None,
    repair: Annotated[bool, typer.Option("--repair", help="Repair what can be repaired.")] = False,
    deep: Annotated[bool, typer.Option("--deep", help="Read every stored byte and hold it against its hash.")] = False,
    peers: Annotated[bool, typer.Option("--peers", help="Ask every enabled destination for a C-ECHO.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Hold disk against index and the surroundings against the settings; exit 1 while something is wrong.

    Looking is safe at any time. With the node stopped everything repairable is repaired, beside a running node only
    what is safe there.
    """
    flow = build_flow(settings_of(config))
    try:
        with _alone(flow.root) as alone, Progress(console=Console(stderr=True), disable=as_json) as progress:
            task = progress.add_task("store", total=None)
            itself = runs(flow.root, flow.node)
            wanted = Wanted(running=not alone, itself=itself, repair=repair, deep=deep, peers=peers)
            told = partial(_tell, progress, task)
            findings = list(check_up(flow, wanted, told))
            if all(found.kind != "database.schema" for found in findings):
                findings += refused_models(flow)
    except OSError as error:
        fail(f"the store cannot be read: {error}")
    ok = not any(found.open for found in findings)
    if as_json:
        print_json({"ok": ok, "running": not alone, "findings": [found.to_json() for found in findings]})
    else:
        for found in findings:
            print(_line(found))
        left = sum(found.open for found in findings)
        print("all is well" if ok else f"{left} finding{' is' if left == 1 else 's are'} left")
    if not ok:
        raise typer.Exit(1)


def _tell(progress: Progress, task: TaskID, done: int, total: int) -> None:
    progress.update(task, completed=done, total=total)


@contextmanager
def _alone(root: Path) -> Iterator[bool]:
    """Whether no node works on the store; none can start within the block then."""
    lock = root / ALL
    if not lock.exists():
        yield True
        return
    with taken_over(lock) as ours:
        yield ours


def _line(found: Finding) -> str:
    mark = "repaired" if found.repaired else _MARKS[found.severity]
    way_out = f" -> {found.way_out}" if found.way_out and not found.repaired else ""
    return f"{mark:8} {found.subject}: {found.message}{way_out}"
