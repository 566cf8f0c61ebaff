"""Counts of a replay: plain nested documents, so that processes can pass them on and any two can be added."""

from collections import defaultdict
from typing import Any

Tally = dict[str, Any]
"""Numbers, or tallies, by name."""

MOST_REASONS = 50
"""Distinct reasons that are counted for a pipeline; reasons may hold numbers of the series."""

FIGURES = ("matched", "accepted", "matched_before", "accepted_before", "gains", "loses", "other", "shadow")
"""Of each rule, in series: its condition fits, and its pipeline takes the series too, by the document and before; and
in how many it gains or loses an enhancement, has another one done, or differs as a shadow alone."""

FORWARDING = ("more", "fewer", "unclear")
"""Of each destination, in series: more or fewer of their originals go there; or facts of a series cannot tell."""

FORWARDED = ("series_before", "series", "more", "fewer", "elsewhere", "unclear")
"""Of each rule that forwards otherwise, in series: some of their originals it forwards, before and by the document; and
what becomes of them by it (`forwarding.Verdict`)."""


def tally() -> Tally:
    """All that is counted, at nothing."""
    return {
        "series": 0,
        "changed": 0,
        "other": 0,
        "shadow": 0,
        "circumstances_unknown": 0,
        "unreadable": 0,
        "forwarding": defaultdict(lambda: dict.fromkeys(FORWARDING, 0)),
        "forwarding_rules": defaultdict(lambda: dict.fromkeys(FORWARDED, 0)),
        "gains": defaultdict(int),
        "loses": defaultdict(int),
        "rules": defaultdict(lambda: dict.fromkeys(FIGURES, 0)),
        "pipelines": defaultdict(lambda: {"matched": 0, "accepted": 0, "reasons": defaultdict(int)}),
    }


def add(whole: Tally, part: Tally) -> None:
    """Add `part` to `whole`, name by name."""
    for name, value in part.items():
        if isinstance(value, dict):
            add(whole.setdefault(name, {}), value)
        else:
            whole[name] = whole.get(name, 0) + value


def count_reason(reasons: dict[str, int], reason: str) -> None:
    """Count a reason; those that come when there are many already are counted together."""
    reasons[reason if reason in reasons or len(reasons) < MOST_REASONS else "other reasons"] += 1
