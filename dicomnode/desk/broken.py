"""Why a pipeline cannot be used: its file, its weights, or what the last worker that loaded it found."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from dicomnode.db.repositories.pipeline_runs import Run
from dicomnode.desk.weights import WeightsState
from dicomnode.enhance.errors import FAILS_GOLDEN, NOT_LOADED
from dicomnode.enhance.registry import Entry

_TRIED = ("done", "withheld", "failed", "outdated")
"""States of a job that say that a worker has loaded the pipeline, or could not."""


def why_broken(entry: Entry, weights: WeightsState | None, runs: Sequence[Run]) -> str:
    """Empty for one that can be used, as far as anybody has tried. `runs`: its newest jobs, the newest first."""
    return entry.error or (weights.reason if weights else "") or _refused(entry, runs)


def _refused(entry: Entry, runs: Sequence[Run]) -> str:
    """Why the last worker refused to run it: its golden case, and its network, show where it is loaded alone.

    What a job found of other weights, or before somebody wrote to its files, says nothing of the pipeline as it is.
    """
    mine = (entry.version, entry.card.weights.sha256 if entry.card else "")
    ended = [(run.finished_at, run) for run in runs if run.finished_at and run.state in _TRIED]
    tried = [(at, run.id, run) for at, run in ended if (run.version, run.weights_sha256) == mine]
    if not tried:
        return ""
    at, id, last = max(tried, key=lambda one: one[:2])
    if not _is_of_the_pipeline(entry.name, last.reason) or _changed_since(entry, at):
        return ""
    return f"{last.reason} (job {id})"


def _is_of_the_pipeline(name: str, reason: str) -> bool:
    return reason.startswith((f"{name} {FAILS_GOLDEN}", f"pipeline {name} {NOT_LOADED}"))


def _changed_since(entry: Entry, instant: datetime) -> bool:
    cards = [entry.weights.with_suffix(".toml"), entry.weights] if entry.weights else []
    return any(_modified(path) > instant.timestamp() for path in (entry.path, *cards))


def _modified(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0
