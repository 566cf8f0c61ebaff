"""The rules that act now, each with what keeps it from acting and how often it matched of late."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from dicomnode.db.database import now as database_now
from dicomnode.db.models import SiteRevision
from dicomnode.db.repositories import site as site_rows
from dicomnode.db.repositories.rule_matches import matches_since
from dicomnode.desk.rules.broken import why_unusable
from dicomnode.desk.rules.conditions import words_of
from dicomnode.desk.weights import state_of
from dicomnode.domain.site import Rule, Site
from dicomnode.flow import Flow

OF_LATE = timedelta(days=7)


@dataclass(frozen=True)
class RuleNow:
    """A rule, what is wrong with its pipeline if anything is, and how many series fitted it in the last `OF_LATE`.

    `matches` is None for a rule that forwards alone: that is decided on each instance, and not kept.
    """

    rule: Rule
    problem: str
    matches: int | None

    @property
    def condition(self) -> str:
        """On which series it acts, in words."""
        return words_of(self.rule.when)

    @property
    def does(self) -> str:
        """What it does to them, in words."""
        return effect_of(self.rule)


@dataclass(frozen=True)
class InForceNow:
    """`revision` is None before the first one."""

    number: int
    revision: SiteRevision | None
    site: Site
    rules: tuple[RuleNow, ...]


def rules_in_force(flow: Flow) -> InForceNow:
    """The revision in force and its rules, in their order."""
    with flow.database.read() as session:
        number, site = flow.site.get(session)
        revision = site_rows.revision(session, number)
        counts = matches_since(session, [rule.name for rule in site.rules], database_now(session) - OF_LATE)
    rules = (
        RuleNow(
            rule,
            problem_of(flow, rule),
            sum(count for (name, _), count in counts.items() if name == rule.name) if rule.enhance else None,
        )
        for rule in site.rules
    )
    return InForceNow(number, revision, site, tuple(rules))


def effect_of(rule: Rule) -> str:
    """ "enhances with ct-denoise, delivers to pacs; forwards originals to archive" """
    parts = []
    if rule.enhance is not None:
        given = ", ".join(f"{name} {_said(value)}" for name, value in sorted(rule.enhance.params.items()))
        parts.append(f"enhances with {rule.enhance.pipeline}" + (f" ({given})" if given else ""))
    if rule.enhance is not None and rule.deliver_to:
        parts[-1] += f", delivers to {', '.join(rule.deliver_to)}"
    if rule.forward_original_to:
        parts.append(f"forwards originals to {', '.join(rule.forward_original_to)}")
    return "; ".join(parts) or "does nothing yet"


def _said(value: object) -> str:
    """A parameter's value for reading."""
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_said(each)}" for name, each in value.items())
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)


def problem_of(flow: Flow, rule: Rule) -> str:
    """Why the rule enhances nothing: as `why_unusable`, or weights that are not those of their card."""
    if rule.enhance is None:
        return ""
    if why := why_unusable(flow, rule):
        return why
    weights = state_of(flow.registry.usable(rule.enhance.pipeline))
    return weights.reason if weights else ""
