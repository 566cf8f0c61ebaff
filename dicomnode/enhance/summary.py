"""Figures of slices to figures of a series: the worst slice decides."""

from collections.abc import Iterable

from dicomnode.domain.verdict import GuardFigure, Verdict, worst


class GuardSummary:
    """Collects figures slice by slice, holding one running row for each guard and no slices."""

    def __init__(self, series: Iterable[GuardFigure] = ()) -> None:
        self._series = tuple(series)
        self._rows: dict[str, _Row] = {}

    def add(self, sop_uid: str, figures: Iterable[GuardFigure]) -> None:
        for figure in figures:
            self._rows.setdefault(figure.guard, _Row()).add(sop_uid, figure)

    def figures(self) -> tuple[GuardFigure, ...]:
        """The series' own figures, then one for each guard: that of its worst slice, with mean and max beside it."""
        return self._series + tuple(row.figure() for row in self._rows.values())

    def verdict(self) -> Verdict:
        return worst(figure.verdict for figure in self.figures())


class _Row:
    def __init__(self) -> None:
        self.count = self.measured = self.flagged = self.withheld = 0
        self.total = 0.0
        self.worst: GuardFigure | None = None
        self.worst_uid = ""

    def add(self, sop_uid: str, figure: GuardFigure) -> None:
        self.count += 1
        self.flagged += figure.verdict is Verdict.FLAG
        self.withheld += figure.verdict is Verdict.WITHHOLD
        self.measured += figure.value is not None
        self.total += figure.value or 0.0
        if self.worst is None or _rank(figure) > _rank(self.worst):
            self.worst, self.worst_uid = figure, sop_uid

    def figure(self) -> GuardFigure:
        assert self.worst is not None
        details = {
            **self.worst.details,
            "slices": self.count,
            "flagged": self.flagged,
            "withheld": self.withheld,
            "mean": self.total / self.measured if self.measured else None,
            "max": self.worst.value,
            "worst_slice": self.worst_uid,
        }
        found = self.worst
        return GuardFigure(found.guard, found.verdict, found.value, found.limit, found.unit, found.reason, details)


_ORDER = (Verdict.PASS, Verdict.FLAG, Verdict.WITHHOLD)


def _rank(figure: GuardFigure) -> tuple[int, float]:
    return _ORDER.index(figure.verdict), figure.value or 0.0
