"""A series that is still coming in, as a worker with nothing better to do sees it grow."""

import time
from collections.abc import Sequence
from contextlib import suppress

from sqlalchemy.orm import Session

from dicomnode.complete.facts import Accumulator
from dicomnode.db.repositories import head_starts, instances
from dicomnode.db.repositories.head_starts import Arrived, Arriving
from dicomnode.domain.facts import SeriesFacts
from dicomnode.domain.provenance import series_is_derived_by_dicomnode
from dicomnode.domain.recipe import Recipe
from dicomnode.domain.site import Rule
from dicomnode.enhance.decode import Decoder
from dicomnode.enhance.errors import ParamsRefused
from dicomnode.flow.context import Flow
from dicomnode.flow.enhancing.sources import StoredImage, stored_image
from dicomnode.route.rules import decide

_QUIET_SECONDS, _QUIET_GAPS = 0.3, 3.0
"""Nothing has come for a while: for so long, and for so many times the mean gap between two instances."""


class ArrivingSeries:
    """Its instances so far, the facts of them, and what the live rules would have made of it.

    The rules are asked at the first instance, and again whenever there are twice as many: often enough to begin early,
    seldom enough to cost next to nothing where no rule matches.
    """

    def __init__(self, flow: Flow, decoder: Decoder, arriving: Arriving) -> None:
        self.flow, self.uid = flow, arriving.series_uid
        self.rows: dict[str, Arrived] = {}
        """By SOP instance UID, in order of arrival."""
        self.images: dict[str, StoredImage] = {}
        self.facts = SeriesFacts({}, {})
        self._decoder, self._called_aet = decoder, arriving.called_aet
        self._accumulator, self._counted = Accumulator(), 0
        self._look_at = 1
        self._grew = time.monotonic()

    @property
    def is_quiet(self) -> bool:
        """Whether nothing has come for a while, so that what is there may be all."""
        rows = list(self.rows.values())
        between = (rows[-1].received_at - rows[0].received_at).total_seconds() if rows else 0.0
        mean = between / max(len(rows) - 1, 1)
        return time.monotonic() - self._grew > max(_QUIET_SECONDS, _QUIET_GAPS * mean)

    def look(self, session: Session) -> None:
        """Take note of what has come since."""
        for row in head_starts.arrived(session, self.uid):
            if row.sop_uid not in self.rows:
                self.rows[row.sop_uid] = row
                self.images[row.sop_uid] = stored_image(self.flow, self._decoder, row.sop_uid, row.location)
                self._grew = time.monotonic()

    def recipes(self, session: Session) -> Sequence[Recipe] | None:
        """What live rules would have made of the series as it is; None: it is too early to ask again."""
        if len(self.rows) < self._look_at:
            return None
        self._look_at = 2 * len(self.rows)
        for row in list(self.rows.values())[self._counted :]:
            self._accumulator.add(
                self.images[row.sop_uid].header,
                calling_aet=row.calling_aet,
                called_aet=self._called_aet,
                transfer_syntax=row.transfer_syntax_uid,
            )
        self._counted = len(self.rows)
        self.facts = self._accumulator.facts()
        is_ours = series_is_derived_by_dicomnode(self.facts) or instances.gone(session, self.uid)
        recipes = () if is_ours else self._wanted(session)
        for image in self.images.values() if not recipes else ():
            image.forget()
        return recipes

    def _wanted(self, session: Session) -> Sequence[Recipe]:
        _, site = self.flow.site.get(session)
        paused = head_starts.paused_pipelines(session)
        found: dict[str, Recipe] = {}
        for match in decide(site, self.facts):
            rule = match.rule
            if match.shadow or rule.priority == "off-peak" or not self._can_begin(rule, paused):
                continue
            assert rule.enhance is not None
            with suppress(ParamsRefused):  # completion says so, where the rule is decided
                recipe = self.flow.registry.recipe(rule.enhance.pipeline, rule.enhance.params, rule.writer)
                found.setdefault(recipe.digest(), recipe)
        return list(found.values())

    def _can_begin(self, rule: Rule, paused: set[str]) -> bool:
        assert rule.enhance is not None
        entry = self.flow.registry.get(rule.enhance.pipeline)
        if entry is None or not entry.usable or entry.name in paused:
            return False
        of_slices = entry.pipeline is not None and entry.pipeline.scope == "slice"
        return of_slices and entry.accepts(self.facts).accepted
