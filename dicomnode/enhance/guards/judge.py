"""One rule for all guards that hold a number against two limits."""

from dicomnode.domain.verdict import GuardFigure, Verdict


def judge(
    guard: str, value: float, limits: tuple[float, float], *, unit: str, reason: str, **details: float
) -> GuardFigure:
    """Pass up to the first limit, flag above it, withhold above the second; a NaN is withheld."""
    flag, withhold = limits
    if value <= flag:
        return GuardFigure(guard, Verdict.PASS, value, flag, unit, details=details)
    verdict, limit = (Verdict.FLAG, flag) if value <= withhold else (Verdict.WITHHOLD, withhold)
    return GuardFigure(guard, verdict, value, limit, unit, reason, details)
