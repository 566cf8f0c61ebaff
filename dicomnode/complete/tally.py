"""How much of each series is here: counted on, for counting anew with every batch of a long series is quadratic."""

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from sqlalchemy.orm import Session

from dicomnode.db.repositories import instances

_SERIES = 2000
"""Of how many series a count is remembered, those that were touched last."""


class Arrival(NamedTuple):
    """What one new instance adds."""

    is_image: bool
    images_in_acquisition: int | None


@dataclass
class Count:
    """Instances that are stored; images among them, and the largest number of images that any of these announces.

    `surpassed`: SQL has said that there are more images than any announces.
    """

    instances: int
    images: int
    announced: int | None
    surpassed: bool = False

    @property
    def complete(self) -> bool:
        """As many images as were announced."""
        return self.images == self.announced


class Tally:
    """Counts of the series that are being received. For the one thread that takes arrivals in.

    SQL has the truth: it is asked for a series that is not remembered, and whenever the announced number seems reached.
    A batch that was rolled back leaves a count too high, which makes that happen too early. A series that another node
    took instances of in the meantime has to be forgotten: its count is too low.
    """

    def __init__(self) -> None:
        self._counts: OrderedDict[str, Count] = OrderedDict()

    def forget(self, series_uid: str) -> None:
        """The next `add` asks SQL."""
        self._counts.pop(series_uid, None)

    def add(self, session: Session, series_uid: str, arrivals: Iterable[Arrival]) -> Count:
        """The count of a series with these new instances, whose rows are in the session's transaction."""
        count = self._counts.get(series_uid)
        if count is None or not _counted_on(count, arrivals):
            count = self._counts[series_uid] = _asked(session, series_uid)
        self._counts.move_to_end(series_uid)
        while len(self._counts) > _SERIES:
            self._counts.popitem(last=False)
        return count


def _counted_on(count: Count, arrivals: Iterable[Arrival]) -> bool:
    """Add the arrivals; False where the result is no longer good enough."""
    for is_image, announced in arrivals:
        count.instances += 1
        count.images += is_image
        if is_image and announced is not None and announced > (count.announced or 0):
            count.announced, count.surpassed = announced, False
    return count.announced is None or count.images < count.announced or count.surpassed


def _asked(session: Session, series_uid: str) -> Count:
    stored, images, announced = instances.tally(session, series_uid)
    return Count(stored, images, announced, surpassed=announced is not None and images > announced)
