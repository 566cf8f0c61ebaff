"""The end of a job: one fenced transaction that commits its outputs, or closes it without any."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy.orm import Session

from dicomnode.db.database import now as database_now
from dicomnode.db.models import DerivedSeriesRow, Enhancement, Output
from dicomnode.db.repositories import enhancements, head_starts
from dicomnode.derive import DerivedSeries
from dicomnode.domain.facts import SeriesFacts
from dicomnode.domain.instance import Location
from dicomnode.enhance.images import Enhanced
from dicomnode.flow.context import Flow
from dicomnode.flow.delivering.outputs import plan_outputs
from dicomnode.flow.enhancing.deriving import flags
from dicomnode.flow.enhancing.drift import note_input
from dicomnode.flow.enhancing.written import Written
from dicomnode.flow.head_start.made_ahead import Kept
from dicomnode.jobs import ledger
from dicomnode.jobs.worker import Held


@dataclass(frozen=True)
class Result:
    """What a job found: the enhancement of `slices` slices, of which `taken` were made ahead; `made` were so in all."""

    enhanced: Enhanced
    facts: SeriesFacts
    taken: Sequence[Kept]
    slices: int
    made: int

    def head_start(self) -> dict[str, Any]:
        """What the head start brought: slices taken from it, computed by the job, thrown away; seconds saved."""
        return {
            "taken": len(self.taken),
            "computed": self.slices - len(self.taken),
            "thrown_away": self.made - len(self.taken),
            "seconds_saved": round(sum(kept.seconds for kept in self.taken), 3),
        }


def commit(
    flow: Flow, held: Held, result: Result, series: DerivedSeries, made: Sequence[tuple[Written, Location]]
) -> None:
    """The fenced commit: outputs, their series' name, their deliveries and the audit, or nothing at all."""
    with flow.database.write() as session:
        row, now = held.fenced(session), held.fenced_at
        _note_result(flow, session, held, row, result)
        if row.deadline_at is not None and row.deadline_at < now:
            held.finish(session, row, "expired", "the deadline passed while it ran: originals only")
            return
        if enhancements.derived_series(session, row.id) is None and made:
            session.add(DerivedSeriesRow(enhancement_id=row.id, uid=series.series_uid, document=series.to_json()))
        for written, location in made:
            session.add(_output(row.id, held.claim.generation, written, location))
        session.flush()
        _finish(flow, session, held, row, "done", _done(result.enhanced, len(made)))
        plan_outputs(flow, session, row, now)


def close(flow: Flow, held: Held, state: str, reason: str, result: Result | None = None) -> None:
    """End the work without outputs: originals only, with the reason; unless more instances came meanwhile."""
    with flow.database.write() as session:
        row = held.fenced(session)
        if result is not None:
            _note_result(flow, session, held, row, result)
        _finish(flow, session, held, row, state, reason)


def _finish(flow: Flow, session: Session, held: Held, row: Enhancement, state: str, reason: str) -> None:
    """The generation that was claimed is over; so is the work, if that is the newest."""
    if not ledger.gives_way(session, row, held.claim, reason, flow.node):
        held.finish(session, row, state, reason)


def _done(enhanced: Enhanced, count: int) -> str:
    flagged = flags(enhanced)
    skipped = f", {len(enhanced.skipped)} left out" if enhanced.skipped else ""
    return f"{count} derived instances{skipped}" + (f"; flagged: {flagged}" if flagged else "")


def _output(enhancement_id: int, generation: int, written: Written, location: Location) -> Output:
    return Output(
        enhancement_id=enhancement_id,
        source_sop_uid=written.source_sop_uid,
        ordinal=0,
        sop_uid=written.sop_uid,
        sop_class_uid=written.sop_class_uid,
        transfer_syntax_uid=written.transfer_syntax_uid,
        container=location.container,
        offset=location.offset,
        length=location.length,
        sha256=written.sha256,
        generation=generation,
    )


def _note_result(flow: Flow, session: Session, held: Held, row: Enhancement, result: Result) -> None:
    enhanced, head_start = result.enhanced, result.head_start()
    row.verdict = enhanced.verdict.value
    row.figures = [figure.to_json() for figure in enhanced.figures]
    row.measured = {
        "device": enhanced.device,
        "precision": enhanced.precision,
        "batch_size": enhanced.batch_size,
        "seconds": round(enhanced.seconds, 3),
        "skipped": dict(enhanced.skipped),
        "head_start": head_start,
    }
    head_starts.tally(session, held.claim.worker, **head_start)
    note_input(session, row, result.facts, enhanced.figures, flow.node, database_now(session))
