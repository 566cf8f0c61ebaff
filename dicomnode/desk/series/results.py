"""What was made of a series, as its pictures tell of it: by which pipeline, how strongly, and what came of it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy.orm import Session

from dicomnode.db.models import Delivery
from dicomnode.db.repositories import deliveries, series_story
from dicomnode.db.repositories.series_story import Made
from dicomnode.domain.priority import SHADOW_PRIORITY
from dicomnode.domain.states import DELIVERED


@dataclass(frozen=True)
class Result:
    """Images that a job made. `delivered`: the destinations that took them; `shadow`: for shadow rules alone.

    `standing` says in words where they went; `outdated` why they should not be used any more, empty if they may.
    """

    job: int
    pipeline: str
    version: str
    params: Mapping[str, Any]
    delivered: tuple[str, ...]
    shadow: bool
    standing: str
    outdated: str

    @property
    def maker(self) -> str:
        """Pipeline, version and what it was told: `ct-denoise 1.1.0, strength 0.9`."""
        return ", ".join((f"{self.pipeline} {self.version}", *worded(self.params)))


def results(session: Session, uid: str) -> Sequence[Result]:
    """Of every job that made images of the series, in the order they were asked for."""
    sent = deliveries.of_series(session, uid)
    return [_result(each, sent) for each in series_story.made(session, uid) if each.outputs]


def first(found: Sequence[Result]) -> Result | None:
    """The one to look at first: the newest that was delivered, else the newest that is no shadow's, else the newest."""
    return max(found, key=lambda each: (bool(each.delivered), not each.shadow, each.job), default=None)


def worded(params: Mapping[str, Any]) -> Iterator[str]:
    """Parameters in words, one by one: `strength 0.9`; what is nested by its path, what is empty not at all."""
    for name, value in params.items():
        if isinstance(value, Mapping):
            yield from (f"{name} {words}" for words in worded(value))
        elif value is not None and value != "":
            yield f"{name} {value}"


def _result(made: Made, sent: Sequence[Delivery]) -> Result:
    work, mine = made.work, [row for row in sent if row.subject == f"enhancement:{made.work.id}"]
    delivered = tuple(sorted({row.destination for row in mine if row.state in DELIVERED}))
    shadow = work.priority == SHADOW_PRIORITY
    outdated = made.outdated.reason if made.outdated else ""
    standing = _standing(mine, delivered)
    return Result(work.id, work.pipeline, work.version, work.params, delivered, shadow, standing, outdated)


def _standing(mine: Sequence[Delivery], delivered: tuple[str, ...]) -> str:
    if delivered:
        return f"delivered to {', '.join(delivered)}"
    if mine:
        return "not delivered: " + ", ".join(f"{row.state} for {row.destination}" for row in mine)
    return "sent nowhere"
