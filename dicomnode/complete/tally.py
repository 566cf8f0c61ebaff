"""How much of each series is here: counted on, for counting anew with every batch of a long series is quadratic."""

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from sqlalchemy import event
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
    What a transaction counted is remembered once that is committed; of one that was not, the next asks SQL. A series
    that another node took instances of in the meantime has to be forgotten: its count is too low.
    """

    def __init__(self) -> None:
        self._counts: OrderedDict[str, Count] = OrderedDict()

    def forget(self, series_uid: str) -> None:
        """The next `add` asks SQL; for before the first of a transaction."""
        self._counts.pop(series_uid, None)

    def add(self, session: Session, series_uid: str, arrivals: Iterable[Arrival]) -> Count:
        """The count of a series with these new instances, whose rows are in the session's transaction, its only one
        (as `Database.write` has it)."""
        counted = self._counted_in(session)
        count = counted.pop(series_uid, None) or self._counts.pop(series_uid, None)
        if count is None or not _counted_on(count, arrivals):
            count = _asked(session, series_uid)
        counted[series_uid] = count
        return count

    def _counted_in(self, session: Session) -> dict[str, Count]:
        """What this session's transaction has counted until now."""
        if self not in session.info:
            session.info[self] = {}
            event.listen(session, "after_commit", self._remember, once=True)
        counted: dict[str, Count] = session.info[self]
        return counted

    def _remember(self, session: Session) -> None:
        self._counts.update(session.info.pop(self))
        while len(self._counts) > _SERIES:
            self._counts.popitem(last=False)


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
