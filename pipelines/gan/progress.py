"""How far a run is: a bar beneath the log's lines on a terminal, the lines alone elsewhere."""

import contextlib
from collections.abc import Callable, Iterator

from rich.console import Console
from rich.progress import Progress

from .plan import Plan

Report = Callable[[str], None]


@contextlib.contextmanager
def shown(plan: Plan, console: Console) -> Iterator[tuple[Report, Callable[[int], None]]]:
    """What to tell a line of the log, and what to tell the steps done in both stages."""
    with Progress(console=console, disable=console.quiet or not console.is_terminal) as progress:
        bar = progress.add_task("training", total=plan.pixel_steps + plan.adversarial_steps)

        def report(line: str) -> None:
            console.print(line, markup=False, highlight=False, soft_wrap=True)

        yield report, lambda done: progress.update(bar, completed=done)
