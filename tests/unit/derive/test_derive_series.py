"""The series plan: number, description, and times in the source's own offset."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import Dataset, dcmread
from support.derivations import NOW, TITLE, derivation_for, derive_again, file_of, parsed, recipe

from dicomnode.derive import CannotDerive, DerivedSeries, plan_series
from dicomnode.derive.series import IS_MAX, describe_series


def source(**values: object) -> Dataset:
    made = Dataset()
    made.SeriesInstanceUID = "1.2.3"
    for keyword, value in values.items():
        setattr(made, keyword, value)
    return made


def planned(**values: object) -> DerivedSeries:
    return plan_series(source(**values), recipe(), TITLE, NOW, local=UTC)


@given(st.text(max_size=200), st.text(max_size=100))
def test_description_is_a_long_string_with_the_title(text: str, title: str) -> None:
    made = describe_series(text, title)
    assert 2 <= len(made) <= 64
    assert made.endswith("]")
    assert "\\" not in made
    assert made.isprintable() or not text.isprintable()


def test_description_keeps_the_title_and_cuts_the_source() -> None:
    assert describe_series("Thorax 1.0 B31f", "AI denoise") == "Thorax 1.0 B31f [AI denoise]"
    assert describe_series("x" * 64, "AI denoise") == "x" * 51 + " [AI denoise]"
    assert describe_series("", "AI denoise") == "[AI denoise]"
    assert describe_series("Kopf nativ für Ä", "AI Rauschen ü") == "Kopf nativ für Ä [AI Rauschen ?]"


@given(st.one_of(st.none(), st.integers(-IS_MAX - 1, IS_MAX)), st.integers(1, 1_000_000))
def test_number_is_an_integer_string_and_never_empty(number: int | None, offset: int) -> None:
    made = plan_series(source(SeriesNumber=number), recipe({"series_number_offset": offset}), TITLE, NOW)
    assert abs(made.series_number) <= IS_MAX
    if number is not None and abs(number) < IS_MAX - offset:
        assert made.series_number == number + offset


@pytest.mark.parametrize(
    ("offset", "date", "time"),
    [("+0100", "20260329", "023015"), ("-0500", "20260328", "203015"), ("+0000", "20260329", "013015")],
)
def test_times_are_at_the_sources_offset(offset: str, date: str, time: str) -> None:
    made = planned(TimezoneOffsetFromUTC=offset)
    assert (made.series_date, made.series_time, made.utc_offset) == (date, time, offset)


@pytest.mark.parametrize("offset", ["", None, "CET", "+9900"])
def test_times_are_local_where_the_source_names_no_offset(offset: str | None) -> None:
    local = timezone(timedelta(hours=2))
    made = plan_series(source(TimezoneOffsetFromUTC=offset), recipe(), TITLE, NOW, local=local)
    assert (made.series_date, made.series_time, made.utc_offset) == ("20260329", "033015", "+0200")


@given(st.integers(-12 * 60, 14 * 60), st.integers(-12 * 60, 14 * 60))
def test_another_offset_is_the_same_moment(planned_at: int, asked_at: int) -> None:
    def text(minutes: int) -> str:
        return f"{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02d}{abs(minutes) % 60:02d}"

    made = planned(TimezoneOffsetFromUTC=text(planned_at))
    date, time = made.at_offset(text(asked_at))
    moment = datetime.strptime(date + time + text(asked_at), "%Y%m%d%H%M%S%z")
    assert moment == NOW.replace(microsecond=0)


def test_an_instance_of_another_offset_tells_the_same_moment() -> None:
    ct = dcmread(file_of("CT_small.dcm"))
    derivation = derivation_for(ct)
    ct.TimezoneOffsetFromUTC = "+0200"
    made = parsed(derive_again(ct, series=derivation.series))
    assert (made.ContentDate, made.ContentTime) == ("20260329", "033015")
    assert (made.SeriesDate, made.InstanceCreationTime) == ("20260329", "033015")


def test_plan_survives_json() -> None:
    made = planned(SeriesDescription="Brust", SeriesNumber=4)
    assert DerivedSeries.from_json(made.to_json()) == made


def test_plan_refuses_what_it_cannot_name() -> None:
    with pytest.raises(ValueError, match="aware"):
        plan_series(source(), recipe(), TITLE, datetime(2026, 1, 1))
    with pytest.raises(CannotDerive, match="SeriesInstanceUID"):
        plan_series(Dataset(), recipe(), TITLE, NOW)


def test_a_description_of_two_values_is_one_text() -> None:
    assert planned(SeriesDescription=["Thorax", "axial"]).series_description == "Thorax axial [AI denoise]"
