"""Rules for all guards that hold a number against limits."""

import math

from dicomnode.domain.verdict import GuardFigure, Verdict
from dicomnode.enhance.limits import Band


def judge(
    guard: str, value: float, limits: tuple[float, float], *, unit: str, reason: str, **details: float
) -> GuardFigure:
    """Pass up to the first limit, flag above it, withhold above the second; a NaN is withheld."""
    flag, withhold = limits
    if value <= flag:
        return GuardFigure(guard, Verdict.PASS, value, flag, unit, details=details)
    verdict, limit = (Verdict.FLAG, flag) if value <= withhold else (Verdict.WITHHOLD, withhold)
    return GuardFigure(guard, verdict, value, limit, unit, reason, details)


def judge_band(guard: str, value: float, band: Band, *, unit: str, what: str, **details: float) -> GuardFigure:
    """Pass inside the inner interval, flag between it and the outer one, withhold outside.

    NaN stands for "there was nothing to measure it on": flagged, and the figure has no value. `what` begins the
    reason: "the noise is 80.2 HU, ...".
    """
    withhold_below, flag_below, flag_above, withhold_above = band
    if math.isnan(value):
        return GuardFigure(guard, Verdict.FLAG, None, None, unit, f"{what} cannot be measured in this image", details)
    if flag_below <= value <= flag_above:
        return GuardFigure(guard, Verdict.PASS, value, flag_above, unit, details=details)
    verdict = Verdict.FLAG if withhold_below <= value <= withhold_above else Verdict.WITHHOLD
    below, above = (flag_below, flag_above) if verdict is Verdict.FLAG else (withhold_below, withhold_above)
    limit = below if value < flag_below else above
    reason = f"{what} is {value:.3g} {unit}, the model knows {flag_below:.3g} to {flag_above:.3g}"
    return GuardFigure(guard, verdict, value, limit, unit, reason, details)
