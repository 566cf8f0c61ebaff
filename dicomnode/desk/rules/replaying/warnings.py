"""What somebody should look at before the document goes live."""

from collections.abc import Iterator, Mapping, Sequence
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
    before: Site, after: Site, counts: Figures, rules: Sequence[Figures], pipelines: Sequence[Figures]
) -> list[Warn]:
    """All of them, the worst first. `rules` and `pipelines` are the rows of `findings`."""
    return [
        *_never(after),
        *_nothing(counts),
        *_unmatched(after, counts, rules),
        *_declined(pipelines),
        *_not_shadowed(before, after),
        *_forwarding(before, after),
        *_unknown(counts),
    ]


def _never(after: Site) -> Iterator[Warn]:
    for rule in after.rules:
        if why := contradiction(rule.when):
            yield Warn("contradiction", f"rule {rule.name} can never match, whatever comes: {why}", rule.name)


def _nothing(counts: Figures) -> Iterator[Warn]:
    if not counts["series"]:
        yield Warn("empty", "no series was completed in this period: the replay says nothing; take a longer one")


def _unmatched(after: Site, counts: Figures, rules: Sequence[Figures]) -> Iterator[Warn]:
    impossible = {rule.name for rule in after.rules if contradiction(rule.when)}
    for row in rules:
        if counts["series"] and row["state"] and not row["matched"] and row["rule"] not in impossible:
            name, many = row["rule"], counts["series"]
            words = f"rule {name} matches none of the {many} series of this period; others may come that it matches"
            yield Warn("no_match", words, name)


def _declined(pipelines: Sequence[Figures]) -> Iterator[Warn]:
    for row in pipelines:
        if row["declined"] and row["declined"] == row["matched"]:
            name, (why, count) = row["pipeline"], next(iter(row["reasons"].items()))
            words = (
                f"{name} does nothing for any of the {row['matched']} series that rules choose for it: {why} ({count})"
            )
            yield Warn("declined", words, pipeline=name)


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


def _forwarding(before: Site, after: Site) -> Iterator[Warn]:
    old = {rule.name: rule for rule in before.rules}
    for rule in after.rules:
        was = old.pop(rule.name, None)
        if _forwards(rule) != (_forwards(was) if was else None):
            yield _not_replayed(rule.name)
    for was in old.values():
        if _forwards(was):
            yield _not_replayed(was.name)


def _forwards(rule: Rule) -> tuple[Any, ...] | None:
    return (rule.when, sorted(rule.forward_original_to)) if rule.forward_original_to and rule.state == "live" else None


def _not_replayed(rule: str) -> Warn:
    words = (
        f"which originals rule {rule} forwards changes; that is decided on each instance as it comes, and not replayed"
    )
    return Warn("forwarding", words, rule)


def _unknown(counts: Figures) -> Iterator[Warn]:
    if many := counts["circumstances_unknown"]:
        words = (
            f"{many} series were completed by an earlier version, which did not keep whether they were whole and not "
            "rejected: they are taken to have been"
        )
        yield Warn("circumstances", words)
