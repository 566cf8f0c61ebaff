"""What every step of the flow needs. Holds no state of its own: that is in SQL."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pydicom import Dataset

from dicomnode.complete.awaited import Awaited
from dicomnode.complete.facts import Accumulator
from dicomnode.complete.tally import Tally
from dicomnode.db.database import Database
from dicomnode.db.models import Instance, Series
from dicomnode.db.repositories import instances
from dicomnode.domain.facts import SeriesFacts
from dicomnode.enhance.registry import Registry
from dicomnode.flow.completing.forwarding_rules import ForwardingRules
from dicomnode.flow.completing.put_off import PutOff
from dicomnode.observe import log
from dicomnode.route.current import CurrentSite
from dicomnode.settings import Settings
from dicomnode.store.header import UnreadableHeader
from dicomnode.store.reading import read_header


@dataclass
class Flow:
    """The node as its flow sees it."""

    database: Database
    settings: Settings
    registry: Registry
    site: CurrentSite = field(default_factory=CurrentSite)
    tally: Tally = field(default_factory=Tally)
    awaited: Awaited = field(default_factory=Awaited)
    forwarding: ForwardingRules = field(default_factory=ForwardingRules)
    put_off: PutOff = field(default_factory=PutOff)

    @property
    def node(self) -> str:
        return self.settings.node.name

    @property
    def root(self) -> Path:
        return self.settings.store.root


def facts_of_all(flow: Flow, rows: Iterable[Instance], series: Series) -> SeriesFacts:
    """Facts of a series with these instances, from their stored headers."""
    accumulator = Accumulator()
    for row in rows:
        accumulator.add(
            _header(flow, row),
            calling_aet=row.calling_aet,
            called_aet=series.called_aet,
            transfer_syntax=row.transfer_syntax_uid,
        )
    return accumulator.facts()


def _header(flow: Flow, row: Instance) -> Dataset:
    """A header that has become unreadable counts as one without elements: it holds nobody else up."""
    try:
        return read_header(flow.root, instances.location(row))
    except (UnreadableHeader, EOFError) as error:
        log.error("a stored header cannot be read", container=row.container, offset=row.offset, error=str(error))
        return Dataset()


def gone_words(gone: Mapping[str, int]) -> str:
    """What became of instances that are known but not stored (`instances.gone`): "3 purged, 1 missing"."""
    return ", ".join(f"{count} {why}" for why, count in sorted(gone.items())) + " of its instances"


def facts_so_far(flow: Flow, series: Series) -> SeriesFacts:
    """Facts of whatever has arrived of a series until now."""
    with flow.database.read() as session:
        rows = instances.of_series(session, series.uid)
    return facts_of_all(flow, rows, series)
