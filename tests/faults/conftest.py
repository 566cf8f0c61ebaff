"""The matrix of faults: its rows are printed where the run ends."""

import pytest
from support.matrix import report as matrix


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the matrix of the checks that ran; `make faults` runs them in one process, where this is loaded."""
    reports = [
        report
        for outcome in ("passed", "failed")
        for report in terminalreporter.stats.get(outcome, [])
        if report.when == "call"
    ]
    lines = list(matrix(reports))
    if lines:
        terminalreporter.section("faults")
        for line in lines:
            terminalreporter.write_line(line)
