"""Why a series was or was not enhanced: what each rule says of it, by the revision in force, the draft or another."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dicomnode.db.repositories import series as series_rows
from dicomnode.desk.refused import Refused
from dicomnode.desk.rules.draft import read_draft, site_of
from dicomnode.desk.rules.replaying.forwarding import Forwarder
from dicomnode.desk.rules.replaying.past import Past
from dicomnode.domain.facts import SeriesFacts
from dicomnode.domain.site import Site
from dicomnode.flow import Flow
from dicomnode.flow.completing.circumstances import circumstances_of
from dicomnode.flow.completing.deciding import Circumstances
from dicomnode.flow.context import facts_so_far
from dicomnode.route.rules import RuleExplanation, explain_rules, render


@dataclass(frozen=True)
class Said:
    """What one rule says, and what follows: its pipeline and the circumstances are asked as well."""

    answer: RuleExplanation
    decided: str
    """In words; empty for a rule that only forwards."""
    forwards: str
    """Which originals it forwards, in words; empty for a rule that forwards none."""
    acts: bool

    def to_json(self) -> dict[str, Any]:
        return {**self.answer.to_json(), "decided": self.decided, "forwards": self.forwards, "acts": self.acts}


@dataclass(frozen=True)
class Explained:
    """`generation` 0: of what has arrived so far. `revision` None: by the draft."""

    series_uid: str
    generation: int
    revision: int | None
    rules: tuple[Said, ...]

    def to_json(self) -> dict[str, Any]:
        rules = [said.to_json() for said in self.rules]
        return {
            "series": self.series_uid, "generation": self.generation, "revision": self.revision, "rules": rules
        }  # fmt: skip

    def lines(self) -> list[str]:
        """As plain text: one block for each rule, one indented line for each condition."""
        return render([said.answer for said in self.rules])


def explain_series(flow: Flow, series_uid: str, revision: int | None = None, *, draft: bool = False) -> Explained:
    """By the revision in force, or by another one, or by the draft. Raises Refused, `missing`, for no such series."""
    generation, facts, circumstances = _known(flow, series_uid)
    number: int | None
    if draft:
        number, site = None, read_draft(flow).site
    else:
        with flow.database.read() as session:
            in_force, site = flow.site.get(session)
            number = in_force if revision is None else revision
            site = site if number == in_force else site_of(session, number)
    return Explained(series_uid, generation, number, tuple(_say(flow, site, facts, circumstances)))


def _say(flow: Flow, site: Site, facts: SeriesFacts, circumstances: Circumstances) -> Sequence[Said]:
    past = Past(facts, circumstances, flow.registry)
    said = []
    for answer in explain_rules(site, facts):
        decided = past.deciding.decide(answer) if answer.rule.enhance is not None else None
        forwarded = Forwarder(answer.rule, site).said(past) if answer.rule.forward_original_to else None
        acts = (decided is not None and decided.acts) or (forwarded is not None and forwarded["acts"])
        said.append(
            Said(answer, decided.outcome if decided else "", forwarded["outcome"] if forwarded else "", bool(acts))
        )
    return said


def _known(flow: Flow, series_uid: str) -> tuple[int, SeriesFacts, Circumstances]:
    """Of the newest generation, as it was; of what has arrived so far where there is none yet."""
    with flow.database.read() as session:
        row = series_rows.find(session, series_uid)
        if row is None:
            raise Refused(f"no instance of series {series_uid} has arrived", "missing")
        known = series_rows.facts(session, series_uid)
        around = circumstances_of(session, row)
    if known is not None:
        facts, circumstances = _read(known.facts, known.circumstances)
        return known.generation, facts, circumstances
    return 0, facts_so_far(flow, row), around


def _read(facts: Mapping[str, Any], circumstances: Mapping[str, Any]) -> tuple[SeriesFacts, Circumstances]:
    try:
        return SeriesFacts.from_json(facts), Circumstances.from_json(circumstances)
    except Exception as error:  # whatever somebody made of the row
        message = "what the database keeps of this series is damaged: no rule can be asked about it"
        raise Refused(f"{message}; a later slice, or a backup, brings it anew") from error
