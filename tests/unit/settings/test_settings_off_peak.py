"""Off-peak hours on the clock on the wall, whatever it does; and what the settings take for such hours."""

from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis.strategies import DrawFn, SearchStrategy, composite, datetimes, sampled_from, times

from dicomnode.domain.off_peak import ALWAYS, OffPeak, Window, is_open
from dicomnode.settings import SettingsError, load_settings

BERLIN = ZoneInfo("Europe/Berlin")
ZONES = ("Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata", "UTC")
NIGHT = Window.parse("19:00-06:00")


def minutes(clock: time) -> int:
    return clock.hour * 60 + clock.minute


@composite
def windows(draw: DrawFn) -> Window:
    start, end = (draw(times()).replace(second=0, microsecond=0) for _ in range(2))
    return Window(start, end if end != start else time((start.hour + 1) % 24, start.minute))


instants: SearchStrategy[datetime] = datetimes(datetime(2020, 1, 1), datetime(2035, 1, 1)).map(
    lambda moment: moment.replace(tzinfo=UTC)
)


@given(windows(), times())
def test_it_is_open_for_as_many_minutes_as_it_has_from_its_start_on(window: Window, at: time) -> None:
    length = (minutes(window.end) - minutes(window.start)) % 1440
    assert is_open(window, at) == ((minutes(at) - minutes(window.start)) % 1440 < length)


@given(windows())
def test_the_window_that_begins_where_it_ends_is_open_when_it_is_not(window: Window) -> None:
    other = Window(window.end, window.start)
    for minute in range(1440):
        at = time(minute // 60, minute % 60)
        assert is_open(window, at) != is_open(other, at)


@given(windows(), instants, sampled_from(ZONES))
def test_an_instant_is_judged_by_the_clock_on_the_wall_of_its_zone(window: Window, at: datetime, zone: str) -> None:
    hours = OffPeak(window, ZoneInfo(zone))
    assert hours.is_open(at) == is_open(window, at.astimezone(ZoneInfo(zone)).time())
    assert hours.is_open(at) == hours.is_open(at.astimezone(ZoneInfo("Asia/Tokyo"))), "the same instant, told elsewhere"


@given(windows(), instants, sampled_from(ZONES))
def test_every_day_of_two_has_open_and_shut_time(window: Window, at: datetime, zone: str) -> None:
    """Also around the change of summer time, where a clock skips or repeats an hour: the next day is regular."""
    hours = OffPeak(window, ZoneInfo(zone))
    answers = {hours.is_open(at + timedelta(minutes=step)) for step in range(2 * 1440 + 60)}
    assert answers == {True, False}


@pytest.mark.parametrize(
    ("utc", "open_"),
    [
        ("2026-03-28 17:59", False),
        ("2026-03-28 18:00", True),  # 19:00 CET
        ("2026-03-29 03:59", True),  # 05:59 CEST: this night is ten hours long
        ("2026-03-29 04:00", False),
        ("2026-10-24 17:00", True),  # 19:00 CEST
        ("2026-10-25 04:59", True),  # 05:59 CET: and this one twelve
        ("2026-10-25 05:00", False),
    ],
)
def test_nights_in_which_the_clock_is_changed(utc: str, open_: bool) -> None:
    assert OffPeak(NIGHT, BERLIN).is_open(datetime.fromisoformat(utc).replace(tzinfo=UTC)) == open_


def test_without_a_window_it_is_always_open() -> None:
    assert all(ALWAYS.is_open(datetime(2026, 1, 1, hour, tzinfo=UTC)) for hour in range(24))


@pytest.mark.parametrize("text", ["19-06", "19:00", "24:00-06:00", "19:00-19:00", "19:00-06:00-07:00", "9:00-10:00"])
def test_what_is_no_window_is_refused_with_a_sentence(tmp_path: Path, text: str) -> None:
    file = tmp_path / "dicomnode.toml"
    file.write_text(f'[engine]\noff_peak = "{text}"\n')
    with pytest.raises(SettingsError, match=r"setting engine.off_peak: (must be two times|begins when it ends)"):
        load_settings(file)


@pytest.mark.parametrize("name", ["Mars/Olympus", "../etc/passwd", "Europe"])
def test_what_is_no_time_zone_is_refused(tmp_path: Path, name: str) -> None:
    file = tmp_path / "dicomnode.toml"
    file.write_text(f'[engine]\ntime_zone = "{name}"\n')
    with pytest.raises(SettingsError, match=r"setting engine.time_zone: there is no time zone"):
        load_settings(file)


def test_settings_say_the_hours(tmp_path: Path) -> None:
    file = tmp_path / "dicomnode.toml"
    file.write_text('[engine]\noff_peak = "19:00-06:00"\ntime_zone = "Europe/Berlin"\n')
    assert load_settings(file).engine.off_peak_hours == OffPeak(NIGHT, BERLIN)
