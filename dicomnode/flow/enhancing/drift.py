"""The drift watch: what guards measure on inputs, charted for each scanner, kernel and protocol.

A guard sees one series and knows what its model was calibrated on. This sees the series of one scanner over time and
knows what is usual there: a detector that ages, a protocol that was changed, a kernel that was swapped. An alarm goes
into the audit log in the transaction of the result that raised it; nothing is withheld because of it.
"""

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from dicomnode.audit.events import record
from dicomnode.db.models import DriftState, Enhancement, InputStatistic
from dicomnode.db.repositories import drift as drift_rows
from dicomnode.domain.ewma import Chart
from dicomnode.domain.facts import SeriesFacts
from dicomnode.domain.verdict import GuardFigure

_LONGEST = 64


@dataclass(frozen=True)
class Quantity:
    """What is charted: the guard that measures it, and the smallest spread that is believed, on the chart's scale."""

    name: str
    guard: str
    least_spread: float
    logarithmic: bool
    unit: str

    def charted(self, value: float) -> float:
        return math.log(value) if self.logarithmic else value

    def shown(self, value: float) -> float:
        return math.exp(value) if self.logarithmic else value


SIGMA = Quantity("sigma", "input noise", 0.02, logarithmic=True, unit="physical units")
FREQUENCY = Quantity("frequency", "input grain", 0.001, logarithmic=False, unit="cycles/px")
QUANTITIES = (SIGMA, FREQUENCY)


def note_input(
    session: Session, row: Enhancement, facts: SeriesFacts, figures: Sequence[GuardFigure], node: str, now: datetime
) -> None:
    """Keep what the guards measured on the input of this run, and raise an alarm where a chart leaves its limits.

    Without such a measurement (no guard for it, or the envelope withheld the series) nothing is kept.
    """
    values = {quantity: _mean(quantity, figures) for quantity in QUANTITIES}
    if all(value is None for value in values.values()):
        return
    group = group_of(facts, row.pipeline)
    scanner, kernel, protocol, pipeline = group
    session.add(
        InputStatistic(
            enhancement_id=row.id,
            scanner=scanner,
            kernel=kernel,
            protocol=protocol,
            pipeline=pipeline,
            sigma=values[SIGMA],
            frequency=values[FREQUENCY],
            at=now,
        )
    )
    for quantity, value in values.items():
        if value is not None:
            chart = drift_rows.chart(session, group, quantity.name, now)
            if _advance(chart, quantity, value, now):
                _alarm(session, chart, quantity, row, node)


def _mean(quantity: Quantity, figures: Sequence[GuardFigure]) -> float | None:
    """The mean over the slices of a series; None where no slice was measured."""
    found = next((figure.details.get("mean") for figure in figures if figure.guard == quantity.guard), None)
    if found is None or not math.isfinite(found) or (quantity.logarithmic and found <= 0):
        return None
    return float(found)


def _advance(row: DriftState, quantity: Quantity, value: float, now: datetime) -> bool:
    """One more value; whether the chart left its limits with it."""
    chart = chart_of(row).after(quantity.charted(value))
    row.count, row.mean, row.squares, row.average = chart.count, chart.mean, chart.squares, chart.average
    before, row.updated_at = row.state, now
    out = chart.out_of_control(quantity.least_spread)
    row.state = "learning" if chart.learning else "alarm" if out else "in control"
    return out and before != "alarm"


def chart_of(row: DriftState) -> Chart:
    """The chart that the row holds."""
    return Chart(row.count, row.mean, row.squares, row.average)


def group_of(facts: SeriesFacts, pipeline: str) -> drift_rows.Group:
    """What is compared with what: scanner, kernel, protocol (or description), pipeline."""
    serial = _text(facts, "DeviceSerialNumber")
    known = [_text(facts, "Manufacturer"), _text(facts, "ManufacturerModelName")]
    scanner = " ".join([*filter(None, known), hashlib.sha256(serial.encode()).hexdigest()[:8] if serial else ""])
    protocol = _text(facts, "ProtocolName") or _text(facts, "SeriesDescription")
    return scanner.strip() or "unknown", _text(facts, "ConvolutionKernel"), protocol.casefold(), pipeline


def _text(facts: SeriesFacts, name: str) -> str:
    """The attribute's value, blanks collapsed; empty where absent or where images differ."""
    value = facts.only(name)
    return " ".join(str(value).split())[:_LONGEST] if value is not None else ""


def _alarm(session: Session, row: DriftState, quantity: Quantity, work: Enhancement, node: str) -> None:
    found = summary(row)
    record(
        session,
        "drift.alarm",
        f"the input's {quantity.name} drifts: {found['now']:.4g} {quantity.unit}, usual are "
        f"{found['low']:.4g} to {found['high']:.4g}",
        node=node,
        outcome="failure",
        series_uid=work.series_uid,
        subject=f"enhancement:{work.id}",
        detail={name: value for name, value in found.items() if name != "updated_at"},
    )


def summary(row: DriftState) -> dict[str, Any]:
    """A chart for people: values in the quantity's own unit; no limits while learning."""
    quantity = next(known for known in QUANTITIES if known.name == row.quantity)
    chart = chart_of(row)
    low, high = chart.limits(quantity.least_spread) or (None, None)
    return {
        "scanner": row.scanner,
        "kernel": row.kernel,
        "protocol": row.protocol,
        "pipeline": row.pipeline,
        "quantity": row.quantity,
        "series": row.count,
        "mean": quantity.shown(chart.mean),
        "low": None if low is None else quantity.shown(low),
        "high": None if high is None else quantity.shown(high),
        "now": quantity.shown(chart.average),
        "state": row.state,
        "updated_at": row.updated_at,
    }
