"""What somebody should look at before the document goes live."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from dicomnode.desk.rules.diff import renamed
from dicomnode.domain.site import Rule, Site
from dicomnode.route.contradiction import contradiction

Figures = Mapping[str, Any]


@dataclass(frozen=True)
class Warn:
    """`kind` is for programs: see below for each. `rule` or `pipeline` says what it is about, if it is about one."""

    kind: str
    message: str
    rule: str = ""
    pipeline: str = ""

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def warnings(
    before: Site,
    after: Site,
    counts: Figures,
    rules: Sequence[Figures],
    pipelines: Sequence[Figures],
    forwarding: Sequence[Figures],
) -> list[Warn]:
    """Those of the figures and of both documents, the worst first.

    `rules`, `pipelines` and `forwarding` are the rows of `findings`.
    """
    impossible = {rule.name: why for rule in after.rules if (why := contradiction(rule.when))}
    return [
        *_never(impossible),
        *_nothing(counts),
        *_unmatched(impossible, counts, rules),
        *_forwards_nothing(impossible, forwarding),
        *_declined(rules, pipelines),
        *_not_shadowed(before, after),
        *_unclear(forwarding),
        *_unknown(counts),
    ]


def unreadable(count: int, named: Sequence[str]) -> Iterator[Warn]:
    """What is kept of some series is damaged: who looks after the database should know which, as far as named."""
    if count:
        listed = ", ".join(named) + (" and others" if count > len(named) else "")
        words = f"what is kept of {count} series cannot be read, and no figure here tells of them: {listed}"
        yield Warn("unreadable", words)


def broken(rules: Mapping[str, str]) -> Iterator[Warn]:
    """Rules of the document whose pipeline cannot be used, with the words of `broken_rules`."""
    for rule, why in rules.items():
        yield Warn("broken", f"{why}; its series get originals alone", rule)


def _never(impossible: Mapping[str, str]) -> Iterator[Warn]:
    for rule, why in impossible.items():
        yield Warn("contradiction", f"rule {rule} can never match, whatever comes: {why}", rule)


def _nothing(counts: Figures) -> Iterator[Warn]:
    if not counts["series"] and not counts["unreadable"]:
        yield Warn("empty", "no series was completed in this period: the replay says nothing; take a longer one")


def _unmatched(impossible: Collection[str], counts: Figures, rules: Sequence[Figures]) -> Iterator[Warn]:
    for row in rules:
        if counts["series"] and row["state"] and not row["matched"] and row["rule"] not in impossible:
            name, many = row["rule"], counts["series"]
            words = f"rule {name} matches none of the {many} series of this period; others may come that it matches"
            yield Warn("no_match", words, name)


def _declined(rules: Sequence[Figures], pipelines: Sequence[Figures]) -> Iterator[Warn]:
    told = set()
    for row in pipelines:
        if row["declined"] and row["declined"] == row["matched"]:
            name, (why, count) = row["pipeline"], next(iter(row["reasons"].items()))
            told.add(name)
            words = (
                f"{name} does nothing for any of the {row['matched']} series that rules choose for it: {why} ({count})"
            )
            yield Warn("declined", words, pipeline=name)
    for row in rules:
        name, pipeline, many = row["rule"], row["pipeline"], row["matched"]
        if row["state"] and many and not row["accepted"] and pipeline not in told:
            words = f"rule {name} leads to nothing: {pipeline} takes none of the {many} series that fit it"
            yield Warn("declined", words, name, pipeline)


def _not_shadowed(before: Site, after: Site) -> Iterator[Warn]:
    names, old = renamed(before.rules, after.rules), {rule.name: rule for rule in before.rules}
    for rule in after.rules:
        was = old.get(names.get(rule.name, rule.name))
        if rule.state != "live" or rule.enhance is None:
            continue
        if was is None or was.state == "draft":
            words = f"rule {rule.name} goes live without having run as a shadow: nobody has seen its figures"
            yield Warn("not_shadowed", words, rule.name)
        elif was.state == "shadow" and _ran(was) != _ran(rule):
            words = f"rule {rule.name} goes live with another condition or pipeline than the one that ran as a shadow"
            yield Warn("not_shadowed", words, rule.name)


def _ran(rule: Rule) -> tuple[Any, ...]:
    """What a shadow's figures are of."""
    return rule.when, rule.enhance, rule.writer


def _forwards_nothing(impossible: Collection[str], forwarding: Sequence[Figures]) -> Iterator[Warn]:
    for row in forwarding:
        if row["state"] == "live" and not (row["series"] or row["unclear"]) and row["rule"] not in impossible:
            words = (
                f"rule {row['rule']} forwards no original of any series of this period; others may come that it does"
            )
            yield Warn("no_match", words, row["rule"])


def _unclear(forwarding: Sequence[Figures]) -> Iterator[Warn]:
    for row in forwarding:
        if many := row["unclear"]:
            words = (
                f"of {many} series it cannot be told which originals rule {row['rule']} forwards otherwise: their "
                "instances differ in what it asks, and facts are kept of a series as a whole"
            )
            yield Warn("forwarding", words, row["rule"])


def _unknown(counts: Figures) -> Iterator[Warn]:
    if many := counts["circumstances_unknown"]:
        words = (
            f"{many} series were completed by an earlier version, which did not keep whether they were whole and not "
            "rejected: they are taken to have been"
        )
        yield Warn("circumstances", words)
