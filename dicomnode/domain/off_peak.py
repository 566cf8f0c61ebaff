"""The hours in which work of priority "off-peak" may start.

Asked at each claim of the clock as it is then. Nothing is scheduled, so nothing is missed when the clock jumps.
"""

import re
from dataclasses import dataclass
from datetime import datetime, time
from zoneinfo import ZoneInfo

_HOURS = re.compile(r"([01]\d|2[0-3]):([0-5]\d)")


@dataclass(frozen=True)
class Window:
    """From `start` until just before `end`, on the clock on the wall; over midnight where `end` is the earlier."""

    start: time
    end: time

    @classmethod
    def parse(cls, text: str) -> "Window":
        """ "19:00-06:00". Raises ValueError with a sentence for an administrator."""
        hours = [_HOURS.fullmatch(part) for part in text.split("-")]
        if len(hours) != 2 or not all(hours):
            raise ValueError('must be two times of the day such as "19:00-06:00", or empty')
        start, end = (time(int(found[1]), int(found[2])) for found in hours if found)
        if start == end:
            raise ValueError("begins when it ends: leave it empty if work of this priority may start at any time")
        return cls(start, end)

    def __str__(self) -> str:
        return f"{self.start:%H:%M}-{self.end:%H:%M}"


def is_open(window: Window | None, local: time) -> bool:
    """Whether the wall clock shows a time of the window; without a window, always."""
    if window is None:
        return True
    if window.start < window.end:
        return window.start <= local < window.end
    return local >= window.start or local < window.end


@dataclass(frozen=True)
class OffPeak:
    """A window on the clocks of one time zone. An hour that summer time repeats counts twice, one that it skips never.

    A window that lies within the hour skipped stays shut on that day.
    """

    window: Window | None = None
    zone: ZoneInfo | None = None
    """None: the machine's own."""

    @classmethod
    def of(cls, window: str, zone: str) -> "OffPeak":
        """From the settings, where empty text is "always" and "the machine's own time zone"."""
        return cls(Window.parse(window) if window else None, ZoneInfo(zone) if zone else None)

    def is_open(self, instant: datetime) -> bool:
        """Whether off-peak work may start at this instant (aware)."""
        return is_open(self.window, instant.astimezone(self.zone).time())

    def __str__(self) -> str:
        return " ".join(str(part) for part in (self.window, self.zone) if part)


ALWAYS = OffPeak()
"""No hours were set."""
