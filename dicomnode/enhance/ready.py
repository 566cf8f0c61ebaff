"""Which slices of a series that is still coming in may be enhanced already: those whose neighbours have all come."""

from collections.abc import Mapping, Sequence
from itertools import pairwise

from dicomnode.enhance.spot import Spot
from dicomnode.enhance.stack import Stack

_HOLE = 1.5
"""Times the least distance in the stack: farther apart than that, a slice is still to come between the two."""


def ready(stack: Stack, spots: Mapping[str, Spot], neighbours: int, *, is_quiet: bool) -> list[int]:
    """Ascending indices of the slices that what is still to come will hardly change.

    A slice at the end of the stack, or beside a hole, waits: its neighbours may be on their way. `is_quiet` says that
    nothing has come for a while; then what lies there is taken for all. A guess, which costs time where it is wrong.
    """
    if is_quiet or not neighbours:
        return list(range(len(stack)))
    places = [spots[source.sop_uid].place for source in stack]
    steps = [after - before for before, after in pairwise(places)]
    widest = min(steps, default=0.0) * _HOLE
    inside = range(neighbours, len(stack) - neighbours)
    return [index for index in inside if _is_dense(steps[index - neighbours : index + neighbours], widest)]


def _is_dense(steps: Sequence[float], widest: float) -> bool:
    return all(step <= widest for step in steps)
