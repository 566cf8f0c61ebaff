"""What a replay says when it is through: its summary in a sentence, its counts, and what to look at before publishing.

{"summary": "214 series, 9 change: 7 gain ct-denoise, 2 lose", "series": 214, "changed": 9,
 "gains": {"ct-denoise": 7}, "loses": {"ct-denoise": 2}, "other": 0, "shadow": 0,
 "unreadable": 0, "unreadable_series": [],
 "rules": [{"rule": "chest", "was": "chest", "state_before": "shadow", "state": "live", "pipeline": "ct-denoise",
            "matched": 20, "accepted": 18, "matched_before": 13, "accepted_before": 11,
            "gains": 7, "loses": 2, "other": 0, "shadow": 0}],
 "forwarding": [{"destination": "archive", "more": 3, "fewer": 0, "unclear": 1}],
 "forwarding_rules": [{"rule": "to the archive", "state": "live", "series_before": 5, "series": 8, "more": 3,
                       "fewer": 0, "elsewhere": 0, "unclear": 1}],
 "pipelines": [{"pipeline": "ct-denoise", "matched": 20, "accepted": 18, "declined": 2, "reasons": {"...": 2}}],
 "warnings": [{"kind": "no_match", "rule": "chest", "message": "..."}],
 "changes_kept": 9, "changes_left_out": 0, "seconds": 1.2, "per_second": 178.3}
"""

from collections.abc import Iterator
from typing import Any

from dicomnode.desk.rules.diff import renamed
from dicomnode.desk.rules.replaying.tally import FIGURES, Tally
from dicomnode.domain.site import Site

MOST_REASONS_TOLD = 5


def summary(counts: Tally) -> str:
    """ "214 series, 9 change: 7 gain ct-denoise, 2 lose" """
    parts = [*_pipelines(counts)]
    if counts["other"]:
        parts.append(f"{counts['other']} otherwise (parameters, destinations, priority)")
    if counts["shadow"]:
        parts.append(f"{counts['shadow']} as a shadow only")
    parts += _originals(counts)
    total = f"{counts['series']} series"
    if not counts["changed"]:
        return f"{total}, none changes"
    changes = "1 changes" if counts["changed"] == 1 else f"{counts['changed']} change"
    return f"{total}, {changes}: {', '.join(parts)}"


def _pipelines(counts: Tally) -> Iterator[str]:
    gains, loses = counts["gains"], counts["loses"]
    for pipeline in sorted({*gains, *loses}):
        gained, lost = gains.get(pipeline, 0), loses.get(pipeline, 0)
        if gained:
            yield f"{gained} {'gains' if gained == 1 else 'gain'} {pipeline}"
        if lost:
            yield f"{lost} {'loses' if lost == 1 else 'lose'}{'' if gained else f' {pipeline}'}"


def _originals(counts: Tally) -> Iterator[str]:
    words = {
        "more": "{} more originals to {}",
        "fewer": "{} fewer originals to {}",
        "unclear": "{} perhaps others to {}",
    }
    for destination, figures in sorted(counts["forwarding"].items()):
        for verdict, sentence in words.items():
            if many := figures[verdict]:
                yield sentence.format(f"{many} {'sends' if many == 1 else 'send'}", destination)


def forwarding_of(counts: Tally) -> list[dict[str, Any]]:
    """By destination: series of which more or fewer originals go there, or perhaps others."""
    return [{"destination": name, **figures} for name, figures in sorted(counts["forwarding"].items())]


def forwarding_rules_of(after: Site, counts: Tally) -> list[dict[str, Any]]:
    """Figures of every rule that forwards otherwise; state empty: the document has it no more."""
    states = {rule.name: rule.state for rule in after.rules}
    told = counts["forwarding_rules"]
    return [{"rule": name, "state": states.get(name, ""), **figures} for name, figures in told.items()]


def rules_of(before: Site, after: Site, counts: Tally) -> list[dict[str, Any]]:
    """Figures of every rule that enhances, those of the document first, then those that it removes."""
    names, old = renamed(before.rules, after.rules), {rule.name: rule for rule in before.rules}
    rows: list[dict[str, Any]] = []
    for rule in after.rules:
        was = old.pop(names.get(rule.name, rule.name), None)
        if rule.enhance is not None or (was is not None and was.enhance is not None):
            pipeline = (rule.enhance or (was and was.enhance)).pipeline  # type: ignore[union-attr]
            state_before = was.state if was else ""
            rows.append(_row(counts, rule.name, was.name if was else "", state_before, rule.state, pipeline))
    for was in old.values():
        if was.enhance is not None:
            rows.append(_row(counts, was.name, was.name, was.state, "", was.enhance.pipeline))
    return rows


def _row(counts: Tally, rule: str, was: str, state_before: str, state: str, pipeline: str) -> dict[str, Any]:
    figures = counts["rules"].get(rule, {})
    told = {"rule": rule, "was": was, "state_before": state_before, "state": state, "pipeline": pipeline}
    return {**told, **{name: figures.get(name, 0) for name in FIGURES}}


def pipelines_of(counts: Tally) -> list[dict[str, Any]]:
    """How many series rules of the document chose for each pipeline, how many it takes, and why not the others."""
    rows = []
    for pipeline, figures in sorted(counts["pipelines"].items()):
        reasons = sorted(figures["reasons"].items(), key=lambda each: (-each[1], each[0]))[:MOST_REASONS_TOLD]
        declined = figures["matched"] - figures["accepted"]
        rows.append({"pipeline": pipeline, "matched": figures["matched"], "accepted": figures["accepted"],
                     "declined": declined, "reasons": dict(reasons)})  # fmt: skip
    return rows
