"""The log of a run: means over a hundred steps, one line each, to a CSV file and the terminal."""

import csv
from collections.abc import Callable
from pathlib import Path

from .alarm import Alarm
from .state import State
from .steps import Figures

LOG_EVERY = 100
COLUMNS = (
    *("stage", "step", "seconds", "pixel", "gradient", "detail"),
    *("adversarial", "features", "discriminator", "accuracy", "rested", "penalty"),
)


class Log:
    """Appends to the CSV file; a resumed run first drops what the killed one wrote after its last checkpoint."""

    def __init__(self, path: Path, state: State, report: Callable[[str], None]) -> None:
        self._path, self._report = path, report
        self._rows: list[Figures] = []
        self._alarm = Alarm()
        path.parent.mkdir(parents=True, exist_ok=True)
        kept = [row for row in _rows(path) if _before(row, state)]
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS, restval="")
            writer.writeheader()
            writer.writerows(kept)
        for row in kept:
            self._alarm.watch(row["stage"], int(row["step"]), _numbers(row))

    def add(self, state: State, figures: Figures, seconds: float) -> None:
        """One step's figures. Raises Collapsed."""
        self._rows.append(figures)
        if state.step % LOG_EVERY:
            return
        names = {name for row in self._rows for name in row}
        means = {name: _mean([row[name] for row in self._rows if name in row]) for name in COLUMNS if name in names}
        row = {"stage": state.stage, "step": str(state.step), "seconds": f"{seconds:.0f}"}
        row |= {name: f"{value:.4f}" for name, value in means.items()}
        with self._path.open("a", encoding="utf-8", newline="") as file:
            csv.DictWriter(file, COLUMNS, restval="").writerow(row)
        self._report(" ".join(f"{name}={value}" for name, value in row.items()))
        self._rows.clear()
        if warning := self._alarm.watch(state.stage, state.step, means):
            self._report(f"warning: {warning}")


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)


def _rows(path: Path) -> list[dict[str, str]]:
    if not path.exists():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _before(row: dict[str, str], state: State) -> bool:
    if row["stage"] == state.stage:
        return int(row["step"]) <= state.step
    return row["stage"] == "pixel"


def _numbers(row: dict[str, str]) -> dict[str, float]:
    return {name: float(value) for name, value in row.items() if name not in ("stage", "step", "seconds") and value}
