"""The derived series: what all its instances share, frozen when the first of them is committed."""

import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import Any

from pydicom import Dataset

from dicomnode.derive.errors import CannotDerive
from dicomnode.derive.readable import require_readable
from dicomnode.domain.recipe import Recipe
from dicomnode.domain.uid import derived_uid
from dicomnode.domain.writer_profile import WriterProfile

DESCRIPTION_LENGTH = 64
"""SeriesDescription is a Long String (PS3.5 6.2): at most 64 characters."""

IS_MAX = 2**31 - 1
_OFFSET = re.compile(r"([+-])(\d\d)(\d\d)")
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f\\]+")


@dataclass(frozen=True)
class DerivedSeries:
    """Series-level values of a derived series. Dates and times are DICOM DA and TM, at `utc_offset` (`+HHMM`)."""

    series_uid: str
    series_number: int
    series_description: str
    series_date: str
    series_time: str
    utc_offset: str

    def at_offset(self, utc_offset: str | None) -> tuple[str, str]:
        """Date and time for an instance whose TimezoneOffsetFromUTC is `utc_offset` (SOP Common, C.12.1.1.8)."""
        zone = _zone(utc_offset)
        if zone is None or utc_offset == self.utc_offset:
            return self.series_date, self.series_time
        moment = datetime.strptime(f"{self.series_date}{self.series_time}{self.utc_offset}", "%Y%m%d%H%M%S%z")
        return _date_time(moment.astimezone(zone))

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> "DerivedSeries":
        return cls(**{name: document[name] for name in cls.__dataclass_fields__})


def plan_series(
    first_source: Dataset,
    recipe: Recipe,
    title: str,
    now: datetime,
    *,
    generation: int = 0,
    local: tzinfo | None = None,
) -> DerivedSeries:
    """Name the series that `recipe` makes of `first_source`'s series.

    `now` is an aware time. It is written in the source's TimezoneOffsetFromUTC where that is present, else in
    `local` (None: the zone of this machine), as the standard has it for data sets that name no offset.
    Raises ValueError for a naive `now`, CannotDerive for a source that names no series or is not readable.
    """
    if now.tzinfo is None:
        raise ValueError("now must be an aware time")
    require_readable(first_source)
    source_uid = str(first_source.get("SeriesInstanceUID") or "")
    if not source_uid:
        raise CannotDerive("the source has no SeriesInstanceUID")
    profile = WriterProfile.model_validate(dict(recipe.writer_profile))
    moment = now.astimezone(_zone(first_source.get("TimezoneOffsetFromUTC")) or local)
    date, time = _date_time(moment)
    return DerivedSeries(
        series_uid=derived_uid("series", source_uid, recipe, generation=generation),
        series_number=_number(first_source, profile.series_number_offset),
        series_description=describe_series(_text(first_source.get("SeriesDescription")), title),
        series_date=date,
        series_time=time,
        utc_offset=moment.strftime("%z")[:5],
    )


def describe_series(source_description: str, title: str) -> str:
    """`<source text> [title]` in at most 64 characters: the source's text gives way, the title stays.

    The title is made ASCII, which every Specific Character Set can carry.
    """
    plain = title.encode("ascii", "replace").decode()
    mark = f"[{_UNPRINTABLE.sub(' ', plain).strip()[: DESCRIPTION_LENGTH - 2]}]"
    text = _UNPRINTABLE.sub(" ", source_description)[: DESCRIPTION_LENGTH - len(mark) - 1].strip()
    return f"{text} {mark}" if text else mark


def _text(value: Any) -> str:
    """A value that came with a backslash in it is a list to pydicom."""
    if value is None:
        return ""
    return " ".join(map(str, value)) if isinstance(value, Iterable) and not isinstance(value, str) else str(value)


def _number(source: Dataset, offset: int) -> int:
    """Source number + offset; the offset alone where that is no Integer String or the source has no number."""
    try:
        number = int(source.get("SeriesNumber") or 0)
    except (TypeError, ValueError):
        number = 0
    return number + offset if abs(number + offset) <= IS_MAX else offset


def _zone(utc_offset: Any) -> tzinfo | None:
    match = _OFFSET.fullmatch(str(utc_offset or "").strip())
    if match is None:
        return None
    sign, hours, minutes = match.groups()
    distance = timedelta(hours=int(hours), minutes=int(minutes))
    if distance >= timedelta(hours=24):
        return None
    return timezone(-distance if sign == "-" else distance) if distance else UTC


def _date_time(moment: datetime) -> tuple[str, str]:
    return moment.strftime("%Y%m%d"), moment.strftime("%H%M%S")
