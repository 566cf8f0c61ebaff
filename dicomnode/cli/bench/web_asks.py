"""What `bench web` asks for: each list's first page, a deep one, and each filter with no, one and many hits."""

from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlencode

from dicomnode.cli.bench.web_rows import RARE_ACTOR, RARE_KIND, RARE_NAME, Size, series_uid, study_uid
from dicomnode.web.paging import encode

NONE, ONE, MANY = "none", "one", "many"
_SHOWN = 40


@dataclass(frozen=True)
class Ask:
    """A request: of which list, what, and how much it finds."""

    list: str
    what: str
    hits: str
    path: str


def asks(size: Size, middle: str) -> list[Ask]:
    """All of them. `middle`: when half of the year was over, ISO 8601."""
    found = [Ask("today", "the page", MANY, "/")]
    for name, path, filters, deep in (
        ("series", "/series", _series(size), encode((middle, ""))),
        ("jobs", "/queue", _jobs(size), encode((size.series // 2,))),
        ("deliveries", "/queue/deliveries", _deliveries(size), encode((size.series // 2,))),
        ("audit", "/audit", _audit(size), encode((middle, size.events // 2))),
    ):
        found.append(Ask(name, "first page", MANY, path))
        found.append(Ask(name, "deep page", MANY, f"{path}?{urlencode({'cursor': deep})}"))
        found += [
            Ask(name, f"{what}={value}"[:_SHOWN], hits, f"{path}?{urlencode({what: value})}")
            for what, hits, value in filters
        ]
    found.append(Ask("series", "its story", ONE, f"/series/{series_uid(size.series // 2)}"))
    found.append(Ask("jobs", "one job", ONE, f"/queue/{size.series // 2}"))
    found.append(Ask("deliveries", "one delivery", ONE, f"/queue/deliveries/{size.series // 2}"))
    return found


def _series(size: Size) -> Iterator[tuple[str, str, str]]:
    some = size.series // 4 * 2
    yield from (("q", NONE, "nobody is called so"), ("q", ONE, RARE_NAME.upper()), ("q", MANY, "müller"))
    yield from (("q", ONE, f"A{some // 2:08d}"), ("q", ONE, series_uid(some)), ("q", MANY, "たろう"))
    yield from (("modality", NONE, "XA"), ("modality", MANY, "MR"), ("sender", NONE, "XA1"), ("sender", MANY, "CT2"))
    yield from (("status", NONE, "receiving"), ("status", MANY, "delivered"), ("status", MANY, "failed"))
    yield from (("study", NONE, "1.2.3"), ("study", ONE, study_uid(some)), ("made", NONE, "outdated"))
    yield from (("from", MANY, "2001-01-01"), ("to", NONE, "2001-01-01"))


def _jobs(size: Size) -> Iterator[tuple[str, str, str]]:
    yield from (("state", NONE, "running"), ("state", MANY, "done"), ("state", MANY, "withheld"))
    yield from (("pipeline", NONE, "mr-superres"), ("pipeline", MANY, "ct-denoise"))
    yield from (("series", NONE, "1.2.3"), ("series", ONE, series_uid(size.series // 2)), ("node", NONE, "elsewhere"))
    yield from (("priority", NONE, "stat"), ("priority", MANY, "normal"))


def _deliveries(size: Size) -> Iterator[tuple[str, str, str]]:
    yield from (("state", NONE, "sending"), ("state", MANY, "committed"), ("state", MANY, "failed"))
    yield from (("destination", NONE, "archive"), ("destination", MANY, "pacs"), ("rule", NONE, "no"))
    yield from (("series", NONE, "1.2.3"), ("series", ONE, series_uid(size.series // 2)), ("rule", MANY, "all"))


def _audit(size: Size) -> Iterator[tuple[str, str, str]]:
    middle = series_uid(size.series // 2)
    yield from (("kind", NONE, "drift.alarm"), ("kind", ONE, RARE_KIND), ("kind", MANY, "delivery.sent"))
    yield from (("kind", MANY, "enhancement"), ("actor", NONE, "nobody"), ("actor", ONE, RARE_ACTOR))
    yield from (("actor", MANY, "anna"), ("outcome", NONE, "warning"), ("outcome", MANY, "failure"))
    yield from (("series", NONE, "1.2.3"), ("series", MANY, middle), ("study", NONE, "1.2.3"))
    yield from (("study", MANY, study_uid(size.series // 2)), ("subject", NONE, "nothing"))
    yield from (("subject", MANY, "enhancement:7"), ("until", NONE, "2001-01-01"), ("since", MANY, "2001-01-01"))
