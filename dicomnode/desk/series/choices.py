"""What may be run on a series by hand, and where its result may go."""

from collections.abc import Sequence
from dataclasses import dataclass

from dicomnode.db.repositories import series as series_rows
from dicomnode.desk.series.finding import find
from dicomnode.domain.facts import SeriesFacts
from dicomnode.enhance.api import Acceptance
from dicomnode.flow import Flow
from dicomnode.flow.enhancing.asked import objection


@dataclass(frozen=True)
class Choice:
    """A pipeline, and why it does not take the series (empty: it does)."""

    name: str
    title: str
    version: str
    refusal: str


@dataclass(frozen=True)
class Choices:
    """`objection`: why nothing may run now, whatever is chosen; empty when something may."""

    objection: str
    pipelines: Sequence[Choice]
    destinations: Sequence[str]


def choices(flow: Flow, uid: str) -> Choices:
    """The pipelines that take the newest generation first. Raises Refused."""
    with flow.database.read() as session:
        series = find(session, uid)
        row = series_rows.facts(session, uid)
        why = objection(flow, session, series)
        site = flow.site.get(session)[1]
    facts = SeriesFacts.from_json(row.facts) if row else None
    found = []
    for name in sorted({entry.name for entry in flow.registry}):
        entry = flow.registry.get(name)
        assert entry is not None
        refusal = entry.error if not entry.usable else _declined(entry.accepts(facts)) if facts else "not complete yet"
        found.append(Choice(name, entry.title, entry.version, refusal))
    enabled = [each.name for each in site.destinations if each.enabled]
    return Choices(why, sorted(found, key=lambda each: bool(each.refusal)), enabled)


def _declined(acceptance: Acceptance) -> str:
    return "" if acceptance.accepted else acceptance.reason or "it declines"
