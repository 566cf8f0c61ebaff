"""enhance -> derive: one claimed piece of work, from stored slices to committed outputs.

What is computed is staged in a container that nothing points to; the commit that points to it passes only if the claim
still counts. Whatever kills the worker, there are either all outputs or none. What was made ahead of the series'
completion, of the very same slices, is taken as it is.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

from dicomnode.db.models import Enhancement, Instance, SeriesFactsRow
from dicomnode.db.repositories import enhancements, head_starts, instances
from dicomnode.db.repositories import series as series_rows
from dicomnode.derive import Derivation, DerivedInstance, DerivedSeries, plan_series
from dicomnode.derive.errors import BrokenInstance, CannotDerive
from dicomnode.domain.facts import SeriesFacts
from dicomnode.domain.recipe import Recipe
from dicomnode.domain.verdict import Verdict
from dicomnode.enhance.api import Pipeline
from dicomnode.enhance.decode import Decoder
from dicomnode.enhance.errors import EnhanceError, SeriesRefused
from dicomnode.enhance.images import Enhanced, EnhancedSlice, SourceImage
from dicomnode.enhance.runner import Engine
from dicomnode.flow.context import Flow, gone_words
from dicomnode.flow.enhancing.committing import Result, close, commit
from dicomnode.flow.enhancing.deriving import derivation_of, derive_slice, flags, vetoes
from dicomnode.flow.enhancing.grounds import Grounds
from dicomnode.flow.enhancing.prepared import Prepared
from dicomnode.flow.enhancing.sources import stored_image
from dicomnode.flow.enhancing.staging import STAGING, stage
from dicomnode.flow.enhancing.written import Written
from dicomnode.flow.head_start.made_ahead import Kept, MadeAhead
from dicomnode.jobs.worker import Held, JobFailed
from dicomnode.observe import checkpoint
from dicomnode.store.reading import read_dataset

if TYPE_CHECKING:
    from dicomnode.enhance.loaded import LoadedPipeline


@dataclass(frozen=True)
class _Plan:
    """All that the ledger says of the job, read in one view."""

    row: Enhancement
    rows: dict[str, Instance]
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
    sources = {uid: stored_image(flow, decoder, uid, instances.location(row)) for uid, row in plan.rows.items()}
    ahead = MadeAhead(flow.root, plan.row.key).look()
    try:
        if plan.gone:
            raise SeriesRefused(f"the series is not whole: {gone_words(plan.gone)}")
        if not sources:
            raise SeriesRefused("the series has no instances")
        loaded = _as_planned(engine, plan)
        derivation = _derivation(flow, held, plan, loaded.pipeline, sources, ahead)
        derive = partial(_derive, flow, sources, plan.rows)
        with Prepared(flow.root, flow.root / STAGING, partial(derive, derivation)) as prepared:
            enhanced = _enhance(engine, loaded, plan, sources, prepared, held, (ahead, Grounds.of(loaded, derivation)))
            made_ahead = sum(uid not in plan.known for uid in ahead.made)
            result = Result(enhanced, plan.facts, prepared.kept, len(prepared), made_ahead)
            if enhanced.verdict is Verdict.WITHHOLD:
                close(flow, held, "withheld", f"withheld: {vetoes(enhanced)}", result)
            else:
                reason = flags(enhanced)
                flagged = partial(derive, replace(derivation, flag_reason=reason)) if reason else None
                name = f"{STAGING}/{held.claim.enhancement_id}/{held.claim.attempt}"
                made = stage(flow.root, name, prepared, flagged, partial(_check, held))
                held.stage("staged")
                commit(flow, held, result, derivation.series, made)
                checkpoint("committed")
    except (SeriesRefused, CannotDerive) as error:
        close(flow, held, "withheld", str(error))
    except BrokenInstance as error:
        close(flow, held, "failed", str(error))
    except EnhanceError as error:
        if error.transient:
            raise JobFailed(str(error)) from error
        close(flow, held, "failed", str(error))
    _tidy(flow, plan, ahead)


def _tidy(flow: Flow, plan: _Plan, ahead: MadeAhead) -> None:
    """What was made ahead has served, unless more of the series came in meanwhile."""
    with flow.database.read() as session:
        is_needed = head_starts.needed(session, plan.row.key, plan.row.series_uid)
    if not is_needed:
        ahead.remove()


def _check(held: Held, written: Written) -> None:
    held.check()


def _plan(flow: Flow, held: Held) -> _Plan:
    with flow.database.read() as session:
        row = enhancements.find(session, held.claim.enhancement_id)
        assert row is not None
        facts = series_rows.facts(session, row.series_uid, held.claim.generation)
        assert isinstance(facts, SeriesFactsRow)
        named = enhancements.derived_series(session, row.id)
        rows = instances.of_series(session, row.series_uid)
        return _Plan(
            row=row,
            rows={one.sop_uid: one for one in rows if _within(one, held.claim.generation)},
            gone=instances.gone(session, row.series_uid),
            facts=SeriesFacts.from_json(facts.facts),
            known={output.source_sop_uid for output in enhancements.outputs(session, row.id)},
            series=DerivedSeries.from_json(named.document) if named else None,
        )


def _within(row: Instance, generation: int) -> bool:
    return row.generation is not None and row.generation <= generation


def _as_planned(engine: Engine, plan: _Plan) -> "LoadedPipeline":
    """The pipeline with its network on the device, if it is still the one that the UIDs were made for."""
    loaded = engine.prepare(plan.row.pipeline)
    entry = loaded.entry
    weights = entry.card.weights.sha256 if entry.card else ""
    if (entry.version, weights) != (plan.row.version, plan.row.weights_sha256):
        raise SeriesRefused(f"{plan.row.pipeline} {plan.row.version} is no longer installed as it was planned")
    return loaded


def _derivation(
    flow: Flow, held: Held, plan: _Plan, pipeline: Pipeline, sources: Mapping[str, SourceImage], ahead: MadeAhead
) -> Derivation:
    """How the outputs are written while nothing is flagged."""
    generation = held.claim.generation if pipeline.scope == "volume" else 0
    series = plan.series or ahead.series
    if series is None:
        first = next(iter(sources.values())).header
        series = plan_series(first, plan.recipe, pipeline.title, datetime.now(UTC), generation=generation)
    return derivation_of(flow, pipeline, plan.recipe, series, generation=generation)


def _enhance(
    engine: Engine,
    loaded: "LoadedPipeline",
    plan: _Plan,
    sources: Mapping[str, SourceImage],
    prepared: Prepared,
    held: Held,
    made: tuple[MadeAhead, Grounds],
) -> Enhanced:
    ahead, grounds = made
    hashes = {uid: row.sha256 for uid, row in plan.rows.items()}

    def known(windows: Sequence[tuple[str, ...]]) -> Sequence[Kept | None]:
        return ahead.find([grounds.key((uid, hashes[uid]) for uid in window) for window in windows])

    return engine.enhance(
        loaded,
        list(sources.values()),
        plan.row.params,
        facts=plan.facts,
        wanted=set(sources) - plan.known,
        notes=ahead.notes_of(grounds, hashes),
        known=known,
        recall=prepared.recall,
        emit=prepared.add,
        on_progress=lambda done, total: held.check(),
        checkpoint=held.stage,
    )


def _derive(
    flow: Flow,
    sources: Mapping[str, SourceImage],
    rows: dict[str, Instance],
    derivation: Derivation,
    enhanced: EnhancedSlice,
) -> DerivedInstance:
    location = instances.location(rows[enhanced.sop_uid])
    return derive_slice(derivation, enhanced, sources, partial(read_dataset, flow.root, location))
