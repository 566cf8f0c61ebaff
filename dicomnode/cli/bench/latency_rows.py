"""The ways of a series to the PACS that are measured side by side."""

from collections.abc import Sequence
from dataclasses import dataclass

PACS = "pacs"
ROUTER, DEFAULT_ROUTER = "router-1", "router-60"
WITH, WITHOUT, CHOSEN = "node-head-start", "node", "node-chosen"
PASSTHROUGH, DENOISE = "passthrough", "ct-denoise"


@dataclass(frozen=True)
class Row:
    """`peer`: the key of what takes the series first. `pace`: slices per second, 0: as fast as they are taken.

    `once`: in the first round alone.
    """

    key: str
    title: str
    peer: str
    slices: int
    associations: int = 1
    pipeline: str = PASSTHROUGH
    pace: float = 0.0
    once: bool = False


def rows(
    slices: int, denoise: int, pace: float, associations: Sequence[int], to_pacs: int, slow_router: bool
) -> Sequence[Row]:
    """All rows; those with `ct-denoise` have `denoise` slices (0: none), sent at `pace`.

    `associations` are those into the PACS alone; `to_pacs` those of one node that is told how many.
    """
    found = [
        Row(f"pacs-{count}", f"the PACS alone, {_associations(count)}", PACS, slices, count) for count in associations
    ]
    found.append(Row("router-1", "Orthanc as the router, StableAge 1", ROUTER, slices))
    if slow_router:
        title = "Orthanc as the router, StableAge 60 (its default)"
        found.append(Row("router-60", title, DEFAULT_ROUTER, slices, once=True))
    for pipeline, count, speed in ((PASSTHROUGH, slices, 0.0), (DENOISE, denoise, pace)):
        for peer, how in ((WITH, "with head start"), (WITHOUT, "without head start")):
            if count:
                title = f"dicomnode, {pipeline}, {how}"
                found.append(Row(f"{pipeline}-{peer}", title, peer, count, pipeline=pipeline, pace=speed))
    title = f"dicomnode, {PASSTHROUGH}, with head start, {_associations(to_pacs)} to the PACS at most"
    return [*found, Row(f"{PASSTHROUGH}-{CHOSEN}", title, CHOSEN, slices)]


def _associations(count: int) -> str:
    return "1 association" if count == 1 else f"{count} associations"
