"""All that was measured, as one JSON document."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

from dicomnode.cli.bench.network.figures import Figure, Run, ratio, spread
from dicomnode.cli.bench.network.goals import Goal, judge
from dicomnode.cli.bench.network.instances import Kind
from dicomnode.cli.bench.network.rows import Row


class Named(Protocol):
    """A peer or a sender, as far as the document is concerned."""

    key: str
    title: str


def figures(rows: Sequence[Row], peers: Sequence[Named], runs: Sequence[Run]) -> Iterable[dict[str, Any]]:
    """The spread of each figure, of each peer in each row it was measured in."""
    for row in rows:
        for peer in peers:
            found = {figure: spread(runs, row.key, peer.key, figure) for figure in Figure}
            if found[Figure.RATE] is not None:
                told = {str(name): each.to_json() for name, each in found.items() if each is not None}
                yield {"row": row.key, "peer": peer.key, **told}


def ratios(
    rows: Sequence[Row], ours: Sequence[str], theirs: Sequence[str], runs: Sequence[Run]
) -> Iterable[dict[str, Any]]:
    """Instances per second of each of `ours` to those of each of `theirs`, row by row."""
    for row in rows:
        for peer in ours:
            for to in theirs:
                found = ratio(runs, row.key, peer, to, Figure.RATE)
                if found is not None:
                    yield {"row": row.key, "peer": peer, "to": to, "ratio": found.to_json()}


def document(
    surroundings: Mapping[str, Any],
    kinds: Iterable[Kind],
    rows: Sequence[Row],
    peers: Sequence[Named],
    runs: Sequence[Run],
    ours: Sequence[str],
    goals: Sequence[Goal],
) -> dict[str, Any]:
    """`surroundings` come first; `ours` are the keys of those peers that are to reach the goals."""
    theirs = [peer.key for peer in peers if peer.key not in ours]
    return {
        **surroundings,
        "data": [kind.described() for kind in kinds],
        "rows": [{"key": row.key, "title": row.title, "instances": row.instances} for row in rows],
        "peers": [{"key": peer.key, "title": peer.title} for peer in peers],
        "figures": list(figures(rows, peers, runs)),
        "ratios": list(ratios(rows, ours, theirs, runs)),
        "goals": [verdict.to_json() for verdict in judge(goals, runs, ours)],
        "runs": [run.to_json() for run in runs],
    }
