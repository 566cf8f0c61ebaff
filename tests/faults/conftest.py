"""The matrix of faults: tests record their rows, and the rows are printed where the run ends."""

import json

import pytest
from support.matrix import KEY, Form, RecordRow
from support.matrix import report as matrix


@pytest.fixture
def record_row(request: pytest.FixtureRequest) -> RecordRow:
    """`record_row(form, node="...", orthanc="...", storescp="...")`: what was seen, in words.

    A check without forms is recorded by its number and `rounds`.
    """

    def record(form: Form | int, rounds: str = "", **seen: str) -> None:
        row = {"check": form, "rounds": rounds} if isinstance(form, int) else {"check": form.check, "rounds": str(form)}
        request.node.user_properties.append((KEY, json.dumps({**row, **seen})))

    return record


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
