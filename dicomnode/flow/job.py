"""enhance -> derive: one claimed piece of work, from stored slices to committed outputs.

What is computed is staged in a container that nothing points to; the commit that points to it passes only if the claim
still counts. Whatever kills the worker, there are either all outputs or none.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from dicomnode.db.database import now as database_now
from dicomnode.db.models import DerivedSeriesRow, Enhancement, Instance, Output, SeriesFactsRow
from dicomnode.db.repositories import enhancements, instances
from dicomnode.db.repositories import series as series_rows
from dicomnode.derive import Derivation, DerivedInstance, DerivedSeries, plan_series
from dicomnode.derive.errors import BrokenInstance, CannotDerive
from dicomnode.domain.facts import SeriesFacts
from dicomnode.domain.instance import Location
from dicomnode.domain.recipe import Recipe
from dicomnode.domain.verdict import Verdict
from dicomnode.enhance.api import Pipeline
from dicomnode.enhance.decode import Decoder
from dicomnode.enhance.errors import CannotDecode, EnhanceError, SeriesRefused
from dicomnode.enhance.images import Enhanced, EnhancedSlice, Pixels, SourceImage
from dicomnode.enhance.runner import Engine
from dicomnode.flow.context import Flow, gone_words
from dicomnode.flow.deriving import derivation_of, derive_slice, flags, vetoes
from dicomnode.flow.drift import note_input
from dicomnode.flow.outputs import plan_outputs
from dicomnode.flow.prepared import Prepared, Written
from dicomnode.jobs import ledger
from dicomnode.jobs.worker import Held, JobFailed
from dicomnode.observe import checkpoint
from dicomnode.store.header import UnreadableHeader
from dicomnode.store.reading import read_dataset, read_header
from dicomnode.store.staged import write_container

if TYPE_CHECKING:
    from dicomnode.enhance.loaded import LoadedPipeline

STAGING = "derived"
"""Folder of the staged and committed outputs under the store's root."""


@dataclass(frozen=True)
class _Plan:
    """All that the ledger says of the job, read in one view."""

    row: Enhancement
    rows: Sequence[Instance]
    gone: dict[str, int]
    facts: SeriesFacts
    known: set[str]
    series: DerivedSeries | None

    @property
    def recipe(self) -> Recipe:
        return Recipe(
            self.row.pipeline, self.row.version, self.row.weights_sha256, self.row.params, self.row.writer_profile
        )


def run_job(flow: Flow, engine: Engine, decoder: Decoder, held: Held) -> None:
    """Do the work that `held` claims and commit it. Raises JobFailed for what another attempt may mend."""
    plan = _plan(flow, held)
    sources = {row.sop_uid: _source(flow, decoder, row) for row in plan.rows}
    try:
        if plan.gone:
            raise SeriesRefused(f"the series is not whole: {gone_words(plan.gone)}")
        if not sources:
            raise SeriesRefused("the series has no instances")
        loaded = _as_planned(engine, plan)
        derivation = _derivation(flow, held, plan, loaded.pipeline, sources)
        derive = partial(_derive, flow, sources, {row.sop_uid: row for row in plan.rows})
        with Prepared(flow.root / STAGING, partial(derive, derivation)) as prepared:
            result = _enhance(engine, loaded, plan, sources, prepared, held)
            if result.verdict is Verdict.WITHHOLD:
                _close(flow, held, plan, result, "withheld", f"withheld: {vetoes(result)}")
                return
            reason = flags(result)
            flagged = partial(derive, replace(derivation, flag_reason=reason)) if reason else None
            made = _stage(flow, held, prepared, flagged)
            _commit(flow, held, plan.facts, result, derivation.series, made)
            checkpoint("committed")
    except (SeriesRefused, CannotDerive) as error:
        _close(flow, held, plan, None, "withheld", str(error))
    except BrokenInstance as error:
        _close(flow, held, plan, None, "failed", str(error))
    except EnhanceError as error:
        if error.transient:
            raise JobFailed(str(error)) from error
        _close(flow, held, plan, None, "failed", str(error))


def _plan(flow: Flow, held: Held) -> _Plan:
    with flow.database.read() as session:
        row = enhancements.find(session, held.claim.enhancement_id)
        assert row is not None
        facts = series_rows.facts(session, row.series_uid, held.claim.generation)
        assert isinstance(facts, SeriesFactsRow)
        named = enhancements.derived_series(session, row.id)
        return _Plan(
            row=row,
            rows=[one for one in instances.of_series(session, row.series_uid) if _within(one, held.claim.generation)],
            gone=instances.gone(session, row.series_uid),
            facts=SeriesFacts.from_json(facts.facts),
            known={output.source_sop_uid for output in enhancements.outputs(session, row.id)},
            series=DerivedSeries.from_json(named.document) if named else None,
        )


def _within(row: Instance, generation: int) -> bool:
    return row.generation is not None and row.generation <= generation


def _source(flow: Flow, decoder: Decoder, row: Instance) -> SourceImage:
    location = instances.location(row)
    return SourceImage(row.sop_uid, read_header(flow.root, location), partial(_decode, flow, decoder, location))


def _decode(flow: Flow, decoder: Decoder, location: Location) -> Pixels:
    try:
        return decoder.decode(read_dataset(flow.root, location))
    except UnreadableHeader as error:
        raise CannotDecode(str(error)) from error


def _as_planned(engine: Engine, plan: _Plan) -> "LoadedPipeline":
    """The pipeline with its network on the device, if it is still the one that the UIDs were made for."""
    loaded = engine.prepare(plan.row.pipeline)
    entry = loaded.entry
    weights = entry.card.weights.sha256 if entry.card else ""
    if (entry.version, weights) != (plan.row.version, plan.row.weights_sha256):
        raise SeriesRefused(f"{plan.row.pipeline} {plan.row.version} is no longer installed as it was planned")
    return loaded


def _derivation(flow: Flow, held: Held, plan: _Plan, pipeline: Pipeline, sources: dict[str, SourceImage]) -> Derivation:
    """How the outputs are written while nothing is flagged."""
    generation = held.claim.generation if pipeline.scope == "volume" else 0
    series = plan.series
    if series is None:
        first = next(iter(sources.values())).header
        series = plan_series(first, plan.recipe, pipeline.title, datetime.now(UTC), generation=generation)
    return derivation_of(flow, pipeline, plan.recipe, series, generation=generation)


def _enhance(
    engine: Engine,
    loaded: "LoadedPipeline",
    plan: _Plan,
    sources: dict[str, SourceImage],
    prepared: Prepared,
    held: Held,
) -> Enhanced:
    return engine.enhance(
        loaded,
        list(sources.values()),
        plan.row.params,
        facts=plan.facts,
        wanted=set(sources) - plan.known,
        emit=prepared.add,
        on_progress=lambda done, total: held.check(),
        checkpoint=held.stage,
    )


def _derive(
    flow: Flow,
    sources: dict[str, SourceImage],
    rows: dict[str, Instance],
    derivation: Derivation,
    enhanced: EnhancedSlice,
) -> DerivedInstance:
    location = instances.location(rows[enhanced.sop_uid])
    return derive_slice(derivation, enhanced, sources, partial(read_dataset, flow.root, location))


def _stage(
    flow: Flow, held: Held, prepared: Prepared, flagged: Callable[[EnhancedSlice], DerivedInstance] | None
) -> list[tuple[Written, Location]]:
    """Write the container of this attempt; what lies in it and where."""
    made: list[Written] = []

    def note(written: Written) -> None:
        held.check()
        made.append(written)

    name = f"{STAGING}/{held.claim.enhancement_id}/{held.claim.attempt}.tar"
    locations = write_container(flow.root, name, prepared.files(flagged, note)) if len(prepared) else []
    held.stage("staged")
    return list(zip(made, locations, strict=True))


def _commit(
    flow: Flow,
    held: Held,
    facts: SeriesFacts,
    result: Enhanced,
    series: DerivedSeries,
    made: Sequence[tuple[Written, Location]],
) -> None:
    """The fenced commit: outputs, their series' name, their deliveries and the audit, or nothing at all."""
    with flow.database.write() as session:
        row = ledger.fenced(session, held.claim)
        now = database_now(session)
        _note_result(row, result)
        note_input(session, row, facts, result.figures, flow.node, now)
        if row.deadline_at is not None and row.deadline_at < now:
            held.finish(session, row, "expired", "the deadline passed while it ran: originals only")
            return
        if enhancements.derived_series(session, row.id) is None and made:
            session.add(DerivedSeriesRow(enhancement_id=row.id, uid=series.series_uid, document=series.to_json()))
        for written, location in made:
            session.add(_output(row.id, held.claim.generation, written, location))
        session.flush()
        if row.generation > held.claim.generation:
            ledger.release(session, row, "instances came while it ran; their outputs are still to be made")
        else:
            held.finish(session, row, "done", _done(result, len(made)))
        plan_outputs(flow, session, row, now)


def _done(result: Enhanced, count: int) -> str:
    flagged = flags(result)
    skipped = f", {len(result.skipped)} left out" if result.skipped else ""
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


def _close(flow: Flow, held: Held, plan: _Plan, result: Enhanced | None, state: str, reason: str) -> None:
    """End the work without outputs: originals only, with the reason."""
    with flow.database.write() as session:
        row = ledger.fenced(session, held.claim)
        if result is not None:
            _note_result(row, result)
            note_input(session, row, plan.facts, result.figures, flow.node, database_now(session))
        held.finish(session, row, state, reason)


def _note_result(row: Enhancement, result: Enhanced) -> None:
    row.verdict = result.verdict.value
    row.figures = [figure.to_json() for figure in result.figures]
    row.measured = {
        "device": result.device,
        "precision": result.precision,
        "batch_size": result.batch_size,
        "seconds": round(result.seconds, 3),
        "skipped": dict(result.skipped),
    }


def staged_orphans(flow: Flow) -> list[Path]:
    """Staged containers in which no output is kept and that no running attempt owns.

    The files are listed before the ledger is asked: an attempt that begins in between is not among them.
    """
    staged = list((flow.root / STAGING).glob("*/*.tar"))
    if not staged:
        return []
    with flow.database.read() as session:
        kept = enhancements.containers_of_outputs(session) | enhancements.staged_by_running(session, STAGING)
    return [path for path in staged if str(path.relative_to(flow.root)) not in kept]


def sweep_staging(flow: Flow) -> int:
    """Remove the orphans among the staged containers. Returns how many."""
    orphans = staged_orphans(flow)
    for path in orphans:
        path.unlink(missing_ok=True)
    return len(orphans)
