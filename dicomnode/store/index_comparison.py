"""What stored instances are to others of the same UID, worked out before the transaction that wants to know.

Two headers or two images may take seconds, and everybody who writes to SQLite waits for a transaction.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path

from dicomnode.db.database import Database
from dicomnode.db.repositories import instances
from dicomnode.domain.instance import Location
from dicomnode.store.index_headers import Headers
from dicomnode.store.members import InstanceMember
from dicomnode.store.versions import Version, classify, differences

SamePixels = Callable[[Location, Location], bool]
"""Whether two stored instances decode to the same pixels."""

_REMEMBERED = 1000
"""Pairs, above those of one batch: an attempt may have to be repeated."""


class Comparison:
    """Compares by header and pixels, and remembers what it found."""

    def __init__(self, root: Path, same_pixels: SamePixels) -> None:
        self._headers, self._same_pixels = Headers(root), same_pixels
        self._remembered = lru_cache(_REMEMBERED)(self._compared)

    def compare(self, first: Location, second: Location) -> tuple[Version, list[str]]:
        """What the second is to the first, and which of its elements differ.

        Raises OSError, also for a decoder that is not there to be started.
        """
        try:
            return self._remembered(first, second)
        except (FileNotFoundError, EOFError) as error:
            if isinstance(error, OSError) and self._headers.has(first) and self._headers.has(second):
                raise  # of something else: the program of the decoder, say
            return Version.CONFLICT, []  # lost, and the doctor has not looked yet

    def beforehand(self, database: Database, came: Sequence[InstanceMember]) -> None:
        """Compare all that a transaction over these members will ask for, but for what only becomes known meanwhile.

        Raises OSError and database errors.
        """
        for first, second in _pairs(database, came):
            self.compare(first, second)

    def _compared(self, first: Location, second: Location) -> tuple[Version, list[str]]:
        differing = differences(self._headers.header(first), self._headers.header(second))
        return classify(differing, lambda: self._same_pixels(first, second)), differing


def _pairs(database: Database, came: Sequence[InstanceMember]) -> list[tuple[Location, Location]]:
    """Those of which the second is other bytes of the first that were never taken in; such bytes once."""
    pairs: dict[tuple[str, str], tuple[Location, Location]] = {}
    with database.read() as session:
        known = instances.known(session, [member.receipt.sop_instance_uid for member in came])
        for member in came:
            uid, sha256 = member.receipt.sop_instance_uid, member.receipt.sha256
            first_sha256, first = known.setdefault(uid, (sha256, member.location))
            if first is None or sha256 == first_sha256 or (uid, sha256) in pairs:
                continue
            if instances.version(session, uid, sha256) is None:
                pairs[uid, sha256] = first, member.location
    return list(pairs.values())
