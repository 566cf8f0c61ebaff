"""Running a replay from its row: its parts, its progress, its result."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from dicomnode.db.database import now as database_now
from dicomnode.db.models import Replay
from dicomnode.db.repositories import replays
from dicomnode.desk.rules.broken import broken_rules
from dicomnode.desk.rules.draft import site_of
from dicomnode.desk.rules.replay import note_end
from dicomnode.desk.rules.replaying import findings
from dicomnode.desk.rules.replaying.crew import Crew, CrewFailed, alone
from dicomnode.desk.rules.replaying.part import SIZE, Found, Part
from dicomnode.desk.rules.replaying.tally import Tally, add, tally
from dicomnode.desk.rules.replaying.warnings import broken, unreadable, warnings
from dicomnode.domain.site import Site
from dicomnode.flow import Flow
from dicomnode.observe import guarded

MOST_CHANGES = 20_000
"""Changes that a replay keeps one by one; all are counted."""
PROCESSES = 2
SHORT = 2_000
"""Series below which processes of its own would take longer to start than the replay takes."""
TELL_SECONDS = 1.0
MOST_UNREADABLE = 5
"""Series that are named of those that cannot be read; all are counted."""

Progress = Callable[[int, int], None]
"""Told how many series have been looked at, and how many there are."""


class Interrupted(Exception):
    """Whoever runs it has to end."""


def run_replay(
    flow: Flow,
    replay_id: int,
    progress: Progress = lambda done, total: None,
    halt: threading.Event | None = None,
    processes: int = PROCESSES,
) -> Replay:
    """Go through the period of a replay and keep what is found. Returns its row: done, stopped by somebody, or failed.

    With `halt` set it ends as failed. One that fails says why in its row and in the audit log; nothing is raised.
    """
    with flow.database.read() as session:
        row = replays.find(session, replay_id)
    assert row is not None
    try:
        _Run(flow, row, progress, halt or threading.Event()).run(processes)
    except Interrupted:
        _fail(flow, replay_id, "the node was stopped; ask again")
    except CrewFailed as error:
        _fail(flow, replay_id, str(error))
    except Exception as error:
        _fail(flow, replay_id, guarded(error))
    with flow.database.read() as session:
        return session.get_one(Replay, replay_id)


class _Run:
    """What is known while a replay runs."""

    def __init__(self, flow: Flow, row: Replay, progress: Progress, halt: threading.Event) -> None:
        self._flow, self._row, self._progress, self._halt = flow, row, progress, halt
        with flow.database.read() as session:
            self._before = site_of(session, row.base)
        self._after = Site.model_validate(row.document)
        self._counts: Tally = tally()
        self._waiting: list[dict[str, Any]] = []
        self._unreadable: list[str] = []
        self._kept = self._left_out = self._done = 0

    def run(self, processes: int) -> None:
        """Part after part; a second's worth of findings goes into one transaction, which also asks whether to go on."""
        began = told = time.monotonic()
        with self._flow.database.read() as session:
            since, until = self._row.since, self._row.until
            parts = [Part(behind, up_to, until, n) for behind, up_to, n in replays.periods(session, since, until, SIZE)]
        total = sum(part.count for part in parts)
        with self._flow.database.write() as session:
            replays.forget_changes(session, self._row.id)
        self._tell(total)
        with self._looking(parts, processes if total > SHORT else 0) as found:
            for each in found:
                self._take(each)
                if self._halt.is_set():
                    raise Interrupted
                if time.monotonic() - told >= TELL_SECONDS:
                    told = time.monotonic()
                    if not self._tell(total):
                        return
        self._finish(total, time.monotonic() - began)

    @contextmanager
    def _looking(self, parts: list[Part], processes: int) -> Iterator[Iterator[Found]]:
        if not processes:
            yield alone(self._flow, self._before, self._after, parts, self._wanted)
            return
        with Crew(self._flow, self._before, self._after, processes) as crew:
            yield crew.found(parts, self._wanted)

    def _wanted(self) -> int:
        return max(0, MOST_CHANGES - self._kept)

    def _take(self, found: Found) -> None:
        add(self._counts, found.tally)
        kept = found.changes[: self._wanted()]  # processes may have been asked before the last ones were counted
        self._waiting += [{"replay_id": self._row.id, **change} for change in kept]
        self._kept += len(kept)
        self._left_out += found.left_out + len(found.changes) - len(kept)
        self._done += found.count
        self._unreadable += found.unreadable[: MOST_UNREADABLE - len(self._unreadable)]

    def _tell(self, total: int) -> bool:
        """False: somebody ended it."""
        self._progress(self._done, total)
        with self._flow.database.write() as session:
            goes_on = replays.progress(session, self._row.id, self._done, total, self._counts["changed"])
            if goes_on:
                replays.add_changes(session, self._waiting)
        self._waiting = []
        return goes_on

    def _finish(self, total: int, seconds: float) -> None:
        if not self._tell(total):
            return
        result = self._result(seconds)
        with self._flow.database.write() as session:
            if replays.end(session, self._row.id, "done", database_now(session), result=result):
                row = session.get_one(Replay, self._row.id, populate_existing=True)
                note_end(self._flow, session, row, "done", self._row.author, result["summary"])

    def _result(self, seconds: float) -> dict[str, Any]:
        counts = self._counts
        rules = findings.rules_of(self._before, self._after, counts)
        pipelines = findings.pipelines_of(counts)
        forwarding = findings.forwarding_rules_of(self._after, counts)
        warned = [
            *unreadable(counts["unreadable"], self._unreadable),
            *broken(broken_rules(self._flow, self._after)),
            *warnings(self._before, self._after, counts, rules, pipelines, forwarding),
        ]
        return {
            "summary": findings.summary(counts),
            **{name: counts[name] for name in ("series", "changed", "gains", "loses", "other", "shadow", "unreadable")},
            "unreadable_series": self._unreadable,
            "rules": rules,
            "pipelines": pipelines,
            "forwarding": findings.forwarding_of(counts),
            "forwarding_rules": forwarding,
            "warnings": [each.to_json() for each in warned],
            "changes_kept": self._kept,
            "changes_left_out": self._left_out,
            "seconds": round(seconds, 3),
            "per_second": round(counts["series"] / seconds, 1) if seconds else 0.0,
        }


def _fail(flow: Flow, replay_id: int, reason: str) -> None:
    with flow.database.write() as session:
        if replays.end(session, replay_id, "failed", database_now(session), reason=reason):
            row = session.get_one(Replay, replay_id, populate_existing=True)
            note_end(flow, session, row, "failed", row.author, f"failed: {reason}")
