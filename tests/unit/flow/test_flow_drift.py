"""The drift watch: silent while a scanner stays as it is, an alarm soon after it does not."""

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import select
from support.databases import sqlite
from support.flowbench import FlowBench
from support.series import make_ct_series

from dicomnode.db.database import Database
from dicomnode.db.models import AuditEvent, DriftState, Enhancement, InputStatistic, Series, Study
from dicomnode.db.repositories import drift as drift_rows
from dicomnode.domain.ewma import LEARNING, SIGMAS, Chart
from dicomnode.domain.facts import AttributeFacts, SeriesFacts
from dicomnode.domain.verdict import GuardFigure, Verdict
from dicomnode.flow.enhancing.drift import group_of, note_input, summary

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SPREAD = 0.15
"""Of the logarithm of the noise, between the patients of one protocol."""


def alarm_after(values: np.ndarray) -> int | None:
    """The number of values until the chart is first out of control."""
    chart = Chart()
    for count, value in enumerate(values, start=1):
        chart = chart.after(float(value))
        if chart.out_of_control(0.02):
            return count
    return None


def test_a_chart_learns_mean_and_spread_first() -> None:
    values = np.random.default_rng(1).normal(3.0, SPREAD, LEARNING)
    chart = Chart()
    for value in values:
        assert chart.learning
        assert chart.limits(0.02) is None
        chart = chart.after(float(value))
    assert chart.mean == pytest.approx(values.mean())
    low, high = chart.limits(0.0) or (0, 0)
    assert (high - low) / 2 == pytest.approx(SIGMAS * values.std(ddof=1) / np.sqrt(LEARNING))


def test_a_chart_is_silent_for_a_hundred_series_and_then_sees_a_shift_within_twelve() -> None:
    false, delays = 0, []
    for seed in range(200):
        rng = np.random.default_rng(seed)
        steady = rng.normal(3.0, SPREAD, LEARNING + 100)
        early = alarm_after(steady)
        false += early is not None
        if early is None:
            shifted = np.concatenate([steady[: LEARNING + 30], rng.normal(3.0 + np.log(1.4), SPREAD, 40)])
            delays.append((alarm_after(shifted) or 999) - LEARNING - 30)
    assert false <= 20, "false alarms in 200 scanners of a hundred series each"
    assert np.median(delays) <= 6
    assert np.percentile(delays, 95) <= 12, "40 % more noise, at the spread that patients have"


def test_like_values_prove_no_precision() -> None:
    chart = Chart()
    for _ in range(LEARNING):
        chart = chart.after(3.0)
    assert not chart.after(3.01).out_of_control(0.02)
    assert chart.after(3.5).out_of_control(0.02)


def facts(**values: str) -> SeriesFacts:
    return SeriesFacts({name: AttributeFacts("LO", {(value,): 1}) for name, value in values.items()}, {})


def test_a_group_names_the_scanner_but_not_its_serial_number() -> None:
    known = facts(
        Manufacturer="ACME ",
        ManufacturerModelName="CT  9",
        DeviceSerialNumber="SN-4711",
        ConvolutionKernel="B30f",
        SeriesDescription="Thorax  NATIV",
    )
    scanner, kernel, protocol, pipeline = group_of(known, "ct-denoise")
    assert scanner.startswith("ACME CT 9 ")
    assert "4711" not in scanner
    assert (kernel, protocol, pipeline) == ("B30f", "thorax nativ", "ct-denoise")
    assert group_of(facts(), "x") == ("unknown", "", "", "x")


@pytest.fixture
def database(tmp_path: Path) -> Database:
    database = sqlite(tmp_path / "node.db")
    with database.write() as session:
        session.add(
            Study(
                uid="1",
                patient_id="",
                patient_name="",
                accession_number="",
                study_date="",
                description="",
                first_seen_at=NOW,
            )
        )
        session.flush()
        session.add(
            Series(
                uid="1.1",
                study_uid="1",
                modality="CT",
                series_number="1",
                description="",
                calling_aet="CT1",
                called_aet="N",
                state="complete",
                last_arrival_at=NOW,
            )
        )
        session.flush()
        session.add(
            Enhancement(
                key="k",
                series_uid="1.1",
                generation=1,
                pipeline="ct-denoise",
                version="1",
                weights_sha256="",
                params={},
                writer_profile={},
                state="running",
                priority=1,
                not_before=NOW,
                created_at=NOW,
            )
        )
    return database


def note(database: Database, sigma: float | None, frequency: float = 0.2, kernel: str = "B30f") -> None:
    figures = [
        GuardFigure("input noise", Verdict.PASS, sigma, details={"mean": sigma}),
        GuardFigure("input grain", Verdict.PASS, frequency, details={"mean": frequency}),
    ]
    with database.write() as session:
        row = session.scalars(select(Enhancement)).one()
        note_input(session, row, facts(Manufacturer="ACME", ConvolutionKernel=kernel), figures, "n", NOW)


def alarms(database: Database) -> list[AuditEvent]:
    with database.read() as session:
        return list(session.scalars(select(AuditEvent).where(AuditEvent.kind == "drift.alarm")))


def states(database: Database) -> dict[tuple[str, str], str]:
    with database.read() as session:
        return {(row.kernel, row.quantity): row.state for row in drift_rows.listing(session)}


def test_an_alarm_is_recorded_once_when_the_noise_of_a_scanner_rises(database: Database) -> None:
    rng = np.random.default_rng(7)
    for _ in range(LEARNING + 15):
        note(database, 25 * float(np.exp(rng.normal(0, SPREAD))), float(rng.normal(0.2, 0.01)))
    assert alarms(database) == []
    assert states(database) == {("B30f", "sigma"): "in control", ("B30f", "frequency"): "in control"}
    needed = 0
    while not alarms(database):
        note(database, 38 * float(np.exp(rng.normal(0, SPREAD))), float(rng.normal(0.2, 0.01)))
        needed += 1
        assert needed <= 12
    (event,) = alarms(database)
    assert event.series_uid == "1.1"
    assert "the input's sigma drifts" in event.message
    assert event.detail["now"] > event.detail["high"]
    note(database, 40.0)
    assert len(alarms(database)) == 1, "it stays out: told once"
    with database.read() as session:
        chart = next(summary(row) for row in drift_rows.listing(session) if row.quantity == "sigma")
        kept = drift_rows.statistics(session, ("ACME", "B30f", "", "ct-denoise"))
    assert chart["state"] == "alarm"
    assert chart["mean"] == pytest.approx(25, rel=0.15)
    assert len(kept) == LEARNING + 15 + needed + 1


def test_kernels_are_charted_apart_and_what_was_not_measured_is_not_charted(database: Database) -> None:
    note(database, 25.0)
    note(database, 60.0, kernel="B70f")
    note(database, None)
    with database.read() as session:
        counts = {(row.kernel, row.quantity): row.count for row in drift_rows.listing(session)}
    assert counts == {
        ("B30f", "sigma"): 1,
        ("B30f", "frequency"): 2,
        ("B70f", "sigma"): 1,
        ("B70f", "frequency"): 1,
    }


PIPELINE = '''
"""Changes nothing; it only has the guards that measure the input."""
from dicomnode.enhance.api import Acceptance, GuardLimits, Pipeline

class Measured(Pipeline):
    name, version, title = "measured", "1.0.0", "measured"
    guards = GuardLimits(noise_sigma=(0, 0, MOST, MOST), noise_frequency=(0, 0, 1, 1))

    def accepts(self, series):
        return Acceptance.yes()

    def enhance(self, slices, params):
        return slices[:, 0].float()
'''
RULE = """
  - name: every image
    state: live
    when: {all: []}
    enhance: {pipeline: measured}
    deliver_to: [pacs]
"""


@pytest.mark.torch
@pytest.mark.parametrize(("most", "state"), [("1e9", "done"), ("1e-3", "withheld")])
def test_a_job_charts_what_its_guards_measured_whether_it_delivers_or_not(
    tmp_path: Path, most: str, state: str
) -> None:
    bench = FlowBench(tmp_path / "node", RULE, PIPELINE.replace("MOST", most))
    bench.receive_files(make_ct_series(tmp_path / "ct", 3, rows=128))
    bench.complete()
    bench.work()
    assert [row.state for row in bench.enhancements()] == [state]
    with bench.flow.database.read() as session:
        (kept,) = session.scalars(select(InputStatistic)).all()
        charts = session.scalars(select(DriftState)).all()
    assert kept.sigma is not None
    assert kept.sigma > 0
    assert {chart.quantity: chart.count for chart in charts} == {"sigma": 1, "frequency": 1}
