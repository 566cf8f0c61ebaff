"""The head start: what an idle worker does with series that are still coming in.

Slices are enhanced as they arrive and kept in a cache (`made_ahead`), of which the job takes what fits once the series
is complete. Nothing of it is committed, sent or told before; whatever goes wrong, the job computes it again.
"""

import time
from collections.abc import Callable

from sqlalchemy.exc import SQLAlchemyError

from dicomnode.db.repositories import head_starts
from dicomnode.db.repositories.head_starts import MOST_TAKERS, Arriving
from dicomnode.enhance.decode import Decoder
from dicomnode.enhance.runner import Engine
from dicomnode.flow.context import Flow
from dicomnode.flow.head_start.ahead import AheadWork
from dicomnode.flow.head_start.arriving import ArrivingSeries
from dicomnode.observe import guarded, log

_TURN_SECONDS = 2.0
_ASK_SECONDS = 0.05
"""How often it is asked whether the worker is wanted, at most."""
_LEASE_SECONDS = 20.0
_MOST_SERIES = 8
"""That one worker looks after at a time: it holds their headers."""


class HeadStart:
    """One worker's. `worker` is its name: no other begins with a series before this one's lease runs out."""

    def __init__(self, flow: Flow, engine: Engine, decoder: Decoder, worker: str) -> None:
        self._flow, self._engine, self._decoder, self._worker = flow, engine, decoder, worker
        self._series: dict[str, _Series] = {}

    def turn(self, is_wanted: Callable[[], bool]) -> bool:
        """Look after one series for a moment, or until `is_wanted`. Whether anything was done."""
        if not self._flow.settings.engine.head_start:
            return False
        with self._flow.database.read() as session:
            arriving = head_starts.arriving(session, self._worker)
        coming = {(each.series_uid, each.generation) for each in arriving}
        self._series = {uid: series for uid, series in self._series.items() if (uid, series.generation) in coming}
        return any(self._look_after(each, is_wanted) for each in sorted(arriving, key=self._turned_at))

    def _turned_at(self, arriving: Arriving) -> float:
        series = self._series.get(arriving.series_uid)
        return series.turned_at if series else 0.0

    def _look_after(self, arriving: Arriving, is_wanted: Callable[[], bool]) -> bool:
        series = self._series.get(arriving.series_uid)
        if series is None:
            if arriving.takers >= MOST_TAKERS or len(self._series) >= _MOST_SERIES:
                return False
            series = self._series[arriving.series_uid] = _Series(self._flow, self._engine, self._decoder, arriving)
        if not series.has_news(arriving):
            return False
        if not self._hold(arriving.series_uid, series):
            del self._series[arriving.series_uid]
            return False
        return series.go_on(arriving, is_wanted)

    def _hold(self, uid: str, series: "_Series") -> bool:
        """The lease on the series, taken or renewed where it is half over."""
        now = time.monotonic()
        if now < series.held_until - _LEASE_SECONDS / 2:
            return True
        with self._flow.database.write() as session:
            taken = head_starts.take(session, uid, self._worker, _LEASE_SECONDS, anew=not series.held_until)
        series.held_until = now + _LEASE_SECONDS
        return taken


class _Series:
    """A series that this worker looks after, and the works that it leads to."""

    def __init__(self, flow: Flow, engine: Engine, decoder: Decoder, arriving: Arriving) -> None:
        self.generation = arriving.generation
        self.turned_at = self.held_until = 0.0
        self._flow, self._engine = flow, engine
        self._arriving = ArrivingSeries(flow, decoder, arriving)
        self._works: dict[str, AheadWork] = {}
        self._seen: object = None
        self._was_quiet = self._is_over = False

    def has_news(self, arriving: Arriving) -> bool:
        """Whether there may be something to do: instances came, some were left over, or no more seem to come."""
        if self._is_over:
            return False
        return arriving.last_arrival_at != self._seen or (self._arriving.is_quiet and not self._was_quiet)

    def go_on(self, arriving: Arriving, is_wanted: Callable[[], bool]) -> bool:
        """One turn. What fails ends the head start of this series: its job will say what is wrong."""
        self.turned_at = time.monotonic()
        try:
            return self._turn(arriving, _Patience(self._flow, arriving.series_uid, is_wanted))
        except SQLAlchemyError:
            raise
        except Exception as error:
            log.warning("no head start for a series", reason=guarded(error))
            self._is_over = True
            return True

    def _turn(self, arriving: Arriving, is_over: Callable[[], bool]) -> bool:
        self._was_quiet = self._arriving.is_quiet
        with self._flow.database.read() as session:
            self._arriving.look(session)
            recipes = self._arriving.recipes(session)
        if recipes is not None:
            wanted = {recipe.digest(): recipe for recipe in recipes}
            made = {digest: work for digest, work in self._works.items() if digest in wanted}
            for digest in wanted.keys() - made.keys():
                made[digest] = AheadWork(self._flow, self._engine, self._arriving, wanted[digest])
            self._works = made
        worked = [work.go_on(is_over) for work in self._works.values() if not is_over()]
        is_left = any(worked) or is_over()
        self._seen = None if is_left else arriving.last_arrival_at
        return is_left


class _Patience:
    """Says when a turn is over: the worker is wanted, the series is complete, or the turn took long enough."""

    def __init__(self, flow: Flow, series_uid: str, is_wanted: Callable[[], bool]) -> None:
        self._flow, self._uid, self._is_wanted = flow, series_uid, is_wanted
        self._until = time.monotonic() + _TURN_SECONDS
        self._asked_at = 0.0
        self._is_over = False

    def __call__(self) -> bool:
        now = time.monotonic()
        if not self._is_over and now - self._asked_at >= _ASK_SECONDS:
            self._asked_at = now
            self._is_over = now > self._until or self._is_wanted() or not self._is_receiving()
        return self._is_over

    def _is_receiving(self) -> bool:
        with self._flow.database.read() as session:
            return head_starts.is_receiving(session, self._uid)
