"""enhance -> derive, before its time: the slices of an arriving series that may be enhanced already, by one recipe."""

import time
from collections.abc import Callable
from contextlib import closing, suppress
from datetime import UTC, datetime
from functools import partial

from dicomnode.db.repositories import head_starts
from dicomnode.derive import DerivedSeries, plan_series
from dicomnode.derive.errors import BrokenInstance, CannotDerive
from dicomnode.domain.recipe import Recipe
from dicomnode.domain.verdict import Verdict
from dicomnode.enhance.errors import SeriesRefused
from dicomnode.enhance.guards.envelope import check_envelope
from dicomnode.enhance.images import EnhancedSlice
from dicomnode.enhance.note import Note, note_of
from dicomnode.enhance.ready import ready
from dicomnode.enhance.runner import Engine, compute
from dicomnode.enhance.selection import Plan, Selection, select
from dicomnode.enhance.window import window_uids
from dicomnode.flow.context import Flow
from dicomnode.flow.enhancing.deriving import derivation_of, derive_slice
from dicomnode.flow.enhancing.grounds import Grounds
from dicomnode.flow.enhancing.written import Written
from dicomnode.flow.head_start.arriving import ArrivingSeries
from dicomnode.flow.head_start.made_ahead import Fresh, MadeAhead, size_of_all
from dicomnode.jobs.work import Work
from dicomnode.observe import checkpoint
from dicomnode.store.disk_check import free_bytes
from dicomnode.store.errors import StoreFull
from dicomnode.store.reading import read_dataset

_GIB = 1 << 30
_ROUND_SLICES, _ROUND_BYTES = 16, 32 << 20
"""So much is kept at once: what a killed worker loses, and what a job that becomes ready waits for."""


class AheadWork:
    """What one recipe makes of the series so far. Raises what the engine, the writer and the store raise."""

    def __init__(self, flow: Flow, engine: Engine, series: ArrivingSeries, recipe: Recipe) -> None:
        self._flow, self._engine, self._series = flow, engine, series
        key = Work(series.uid, 0, recipe, 0).key
        with flow.database.read() as session:
            self._has_output, name = head_starts.outputs_of(session, key)
        self.cache = MadeAhead(flow.root, key).look()
        self._loaded = engine.prepare(recipe.pipeline)
        self._params = self._loaded.entry.params(recipe.params)
        named = DerivedSeries.from_json(name) if name else self._name(recipe)
        self._derivation = derivation_of(flow, self._loaded.pipeline, recipe, named)
        self._grounds = Grounds.of(self._loaded, self._derivation)
        self._notes: dict[str, Note] = {}
        self._unsaved: dict[tuple[str, str], Note] = {}
        self._windows: dict[tuple[str, ...], str] = {}
        self._keys: dict[str, str] = {}
        """By what is seen, and of what is to be made now by its SOP Instance UID."""
        self._tried: set[str] = set()
        self._round: list[tuple[str, EnhancedSlice, Written, bytes]] = []
        self._began = time.monotonic()

    def _name(self, recipe: Recipe) -> DerivedSeries:
        first = next(iter(self._series.images.values())).header
        named = plan_series(first, recipe, self._loaded.pipeline.title, datetime.now(UTC))
        return self.cache.name_series(self._series.uid, named)

    def go_on(self, is_over: Callable[[], bool]) -> bool:
        """Enhance what may be enhanced by now, until `is_over`. Whether anything was done."""
        plan = self._plan()
        if not plan and not (self._unsaved and self._series.is_quiet):
            return False
        self._began = time.monotonic()
        with closing(compute(self._loaded, plan, self._params)) as slices:
            for enhanced in slices:
                self._add(enhanced)
                if is_over():
                    break
        self._flush()
        return True

    def _plan(self) -> Plan:
        """What is to be computed now: slices that are ready, and that nothing was made of with these neighbours."""
        try:
            chosen = self._select()
        except SeriesRefused:
            return []
        if check_envelope(self._loaded.pipeline.envelope, chosen.facts, self._series.facts).verdict is Verdict.WITHHOLD:
            return []
        is_quiet, spots = self._series.is_quiet, {uid: note.spot for uid, note in self._notes.items()}
        neighbours, plan = self._loaded.neighbours, []
        for stack in chosen.stacks():
            indices = []
            for index in ready(stack, spots, neighbours, is_quiet=is_quiet):
                uid, key = stack[index].sop_uid, self._key(window_uids(stack, index, neighbours))
                if uid not in self._has_output and key not in self.cache.kept and key not in self._tried:
                    indices.append(index)
                    self._keys[uid] = key
            if indices:
                plan.append((stack, indices))
        return plan

    def _select(self) -> Selection:
        for uid, image in self._series.images.items():
            if uid not in self._notes:
                note = note_of(self._loaded.pipeline, image.header, self._engine.instance_facts)
                self._notes[uid] = self._unsaved[uid, self._series.rows[uid].sha256] = note
                if note.skip or uid in self._has_output:
                    image.forget()
        images = list(self._series.images.values())
        return select(self._loaded.pipeline, images, self._engine.instance_facts, self._notes)

    def _key(self, window: tuple[str, ...]) -> str:
        if window not in self._windows:
            self._windows[window] = self._grounds.key((uid, self._series.rows[uid].sha256) for uid in window)
        return self._windows[window]

    def _add(self, enhanced: EnhancedSlice) -> None:
        """Write the instance of a slice. One that cannot be written is left to the job, which says why."""
        uid = enhanced.sop_uid
        self._tried.add(self._keys[uid])
        read = partial(read_dataset, self._flow.root, self._series.rows[uid].location)
        with suppress(CannotDerive, BrokenInstance):
            instance = derive_slice(self._derivation, enhanced, self._series.images, read)
            self._round.append((self._keys[uid], enhanced, Written.of(instance), instance.file_bytes))
        size = sum(len(file) for *_, file in self._round)
        if len(self._round) >= _ROUND_SLICES or size >= _ROUND_BYTES:
            self._flush()

    def _flush(self) -> None:
        """Keep what is made and not yet kept."""
        if not self._round and not self._unsaved:
            return
        self._find_room()
        seconds = (time.monotonic() - self._began) / max(len(self._round), 1)
        fresh = [
            Fresh(key, written, enhanced.contributors, enhanced.figures, file, seconds)
            for key, enhanced, written, file in self._round
        ]
        self.cache.add(self._grounds, fresh, self._unsaved)
        for one in fresh:
            self._series.images[one.written.source_sop_uid].forget()
        self._round, self._unsaved, self._began = [], {}, time.monotonic()
        checkpoint("ahead")

    def _find_room(self) -> None:
        """Raises StoreFull where all that is made ahead would take more than it may, or than is free."""
        size = sum(len(file) for *_, file in self._round)
        store, engine = self._flow.settings.store, self._flow.settings.engine
        if size_of_all(self._flow.root) + size > engine.head_start_gb * _GIB:
            raise StoreFull(f"what was made ahead takes {engine.head_start_gb:g} GB already")
        if free_bytes(self._flow.root) - size < max(store.min_free_gb, store.keep_free_gb) * _GIB:
            raise StoreFull("what is free is left to what is received")
