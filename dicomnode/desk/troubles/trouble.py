"""One trouble, for people; and how equal ones are told of together."""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Literal

from dicomnode.db.repositories.troubles import Failed

MOST = 200
"""So many rows of a kind are looked at, the newest: a hospital whose PACS is away has thousands."""

_COUNTED = re.compile(r"\b\d+ of \d+ instances\b")

Grade = Literal["failure", "warning", "notice"]


@dataclass(frozen=True)
class Trouble:
    """A sentence, what to do, and the page on which to do it.

    severity  `failure`: something did not happen that should have; `warning`: it may soon, or people stopped it;
              `notice`: worth a look
    `count` is how many of its kind there are, `since` when the newest came or it began.
    """

    kind: str
    severity: Grade
    message: str
    way_out: str
    href: str
    count: int = 1
    since: datetime | None = None


def alike(rows: Iterable[Failed], tell: Callable[[str, str, str, int], Trouble]) -> Iterator[Trouble]:
    """One trouble for all rows of the same thing and reason; `tell(what, reason, how_many, count)` makes it.

    `how_many` is the count in words: who reads "200 and more" knows that not all were counted.
    """
    found = list(rows)
    full = len(found) >= MOST
    for (what, reason), group in groupby(sorted(found, key=_alike), key=_alike):
        same = list(group)
        words = f"{len(same)}{' and more' if full else ''}"
        made = tell(what, reason, words, len(same))
        newest = max((row.at for row in same if row.at is not None), default=None)
        yield Trouble(**{**vars(made), "count": len(same), "since": newest})


def plural(count: int, one: str, many: str = "") -> str:
    """`1 job`, `3 jobs`."""
    return one if count == 1 else many or f"{one}s"


def sentence(text: str) -> str:
    """With a full stop at its end, and no other."""
    return f"{text.rstrip('.')}." if text else ""


def _alike(row: Failed) -> tuple[str, str]:
    """Reasons that differ in how many instances of a series it was are the same."""
    return row.what, _COUNTED.sub("instances", row.reason)
