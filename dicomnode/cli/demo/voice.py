"""What the demo says while it runs: lines on stdout, progress on stderr, and nothing at all with `--json`."""

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

_LABEL = 11


class Bar:
    """One progress bar; it goes away when its step is done."""

    def __init__(self, progress: Progress, task: TaskID) -> None:
        self._progress, self._task = progress, task

    def advance(self) -> None:
        self._progress.advance(self._task)

    def reach(self, done: int, total: int | None = None, doing: str | None = None) -> None:
        """Set how far it is, and where given of how much and with what."""
        self._progress.update(self._task, completed=done, total=total, description=doing)


class Voice:
    """Speaks unless `quiet`."""

    def __init__(self, *, quiet: bool) -> None:
        self._out = Console(quiet=quiet, highlight=False, markup=False, soft_wrap=True)
        self._quiet = quiet

    def say(self, line: str = "") -> None:
        self._out.print(line)

    def step(self, label: str, words: str) -> None:
        """A line of the story under its heading."""
        self.say(f"{label:<{_LABEL}}{words}")

    @contextmanager
    def bar(self, doing: str, total: int | None) -> Iterator[Bar]:
        """A progress bar for the time of the block; without a total it only shows that something happens."""
        columns = (
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
        )
        screen = Console(stderr=True)
        hidden = self._quiet or not screen.is_terminal
        with Progress(*columns, console=screen, transient=True, disable=hidden) as progress:
            yield Bar(progress, progress.add_task(doing, total=total))
