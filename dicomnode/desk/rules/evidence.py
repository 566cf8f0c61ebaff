"""What a shadow rule showed since it is the shadow that it is: what somebody looks at before it goes live."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from statistics import median
from typing import Any

from sqlalchemy.orm import Session

from dicomnode.db.models import SiteRevision
from dicomnode.db.repositories import rule_evidence
from dicomnode.db.repositories import site as site_rows
from dicomnode.desk.refused import Refused
from dicomnode.domain.site import Rule, Site
from dicomnode.flow import Flow

NEWEST = 500
"""Results of which the figures are told."""
MOST_REASONS = 10
_REVISIONS = 200
"""How far back the beginning of a rule is looked for."""


@dataclass(frozen=True)
class Range:
    """Figures of many series: how many have one, the smallest, the one in the middle, the largest."""

    count: int
    lowest: float
    median: float
    highest: float
    unit: str = ""
    limit: float | None = None
    """What it was held against last, where there is a limit."""


@dataclass(frozen=True)
class Evidence:
    """`figures` by guard and `seconds` of a run are of the newest `NEWEST` results; all else is of the whole time."""

    rule: Rule
    since_revision: int
    since: datetime | None
    """When the rule came to be as it is now, as far as the last revisions tell."""
    matched: int
    not_matched: int
    refusals: Mapping[str, int]
    """Series that it matched and that led to no work, by what was said: what the pipeline declines is here."""
    states: Mapping[str, int]
    """Jobs by state."""
    reasons: Mapping[str, int]
    """Why jobs led to no result, or to one that is no longer valid: the most frequent, state and reason in one."""
    verdicts: Mapping[str, int]
    figures: Mapping[str, Range]
    seconds: Range | None

    def to_json(self) -> dict[str, Any]:
        document = {key: value for key, value in vars(self).items() if key not in ("rule", "figures", "seconds")}
        return {
            "rule": self.rule.name,
            "state": self.rule.state,
            **document,
            "figures": {name: asdict(figure) for name, figure in self.figures.items()},
            "seconds": asdict(self.seconds) if self.seconds else None,
        }


def evidence_of(flow: Flow, name: str) -> Evidence:
    """Of a rule in force, a shadow or not. Raises Refused, `missing`, where there is none of that name."""
    with flow.database.read() as session:
        _, site = flow.site.get(session)
        rule = _rule(site, name)
        if rule is None:
            raise Refused(f"no rule {name} is in force", "missing")
        number, since = _begun(session, rule)
        about = (session, rule.name, rule.state, number)
        jobs = rule_evidence.jobs(*about)
        results = rule_evidence.newest_results(*about, NEWEST)
        return Evidence(
            rule,
            number,
            since,
            rule_evidence.count(*about, matched=True),
            rule_evidence.count(*about, matched=False),
            rule_evidence.refusals(*about),
            _sums((state, count) for state, _, count in jobs),
            _most_frequent(rule_evidence.reasons(*about)),
            _sums((verdict, count) for _, verdict, count in jobs if verdict),
            _figures(figures for figures, _ in results),
            _range([float(measured["seconds"]) for _, measured in results if "seconds" in measured], "s"),
        )


def _begun(session: Session, rule: Rule) -> tuple[int, datetime | None]:
    """The first of the last revisions in which the rule does what it does now, in the state that it is in now."""
    first: SiteRevision | None = None
    for row in site_rows.revisions(session, None, _REVISIONS):
        found = _rule(Site.model_validate(row.document), rule.name)
        if found is None or _does(found) != _does(rule):
            break
        first = row
    return (first.number, first.created_at) if first else (0, None)


def _does(rule: Rule) -> tuple[Any, ...]:
    return rule.state, rule.when, rule.enhance, rule.writer


def _rule(site: Site, name: str) -> Rule | None:
    return next((rule for rule in site.rules if rule.name == name), None)


def _sums(pairs: Iterable[tuple[str, int]]) -> dict[str, int]:
    found: dict[str, int] = {}
    for name, count in pairs:
        found[name] = found.get(name, 0) + count
    return found


def _most_frequent(reasons: Mapping[tuple[str, str], int]) -> dict[str, int]:
    found = sorted(reasons.items(), key=lambda each: (-each[1], each[0]))[:MOST_REASONS]
    return {f"{state}: {why}": count for (state, why), count in found}


def _figures(results: Iterable[list[dict[str, Any]]]) -> dict[str, Range]:
    """By guard, of the series' worst slices."""
    values: dict[str, list[float]] = {}
    last: dict[str, tuple[str, float | None]] = {}
    for figure in (figure for figures in results for figure in figures):
        if figure.get("value") is not None:
            values.setdefault(figure["guard"], []).append(float(figure["value"]))
            last.setdefault(figure["guard"], (figure.get("unit", ""), figure.get("limit")))
    ranges = {guard: _range(found, *last[guard]) for guard, found in sorted(values.items())}
    return {guard: found for guard, found in ranges.items() if found}


def _range(values: list[float], unit: str = "", limit: float | None = None) -> Range | None:
    return Range(len(values), min(values), median(values), max(values), unit, limit) if values else None
