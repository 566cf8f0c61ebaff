"""The matrix itself: rows come from whatever process a test ran in, and a failure is never told as a pass."""

import json
from pathlib import Path
from typing import Literal

import pytest
from support.matrix import CHECKS, KEY, report

pytestmark = pytest.mark.faults


def finished(file: str, outcome: Literal["passed", "failed"], *properties: tuple[str, object]) -> pytest.TestReport:
    """A report that has been through a pipe, as those of other processes have."""
    made = pytest.TestReport(
        nodeid=f"tests/faults/{file}.py::test_it",
        location=("", 0, ""),
        keywords={},
        outcome=outcome,
        longrepr=None,
        when="call",
        user_properties=list(properties),
    )
    return pytest.TestReport._from_json(json.loads(json.dumps(made._to_json())))


def test_the_matrix_tells_outcomes_and_what_was_seen() -> None:
    row = {"check": 12, "rounds": "8 seconds", "node": "0.1 s", "orthanc": "no answer"}
    lines = list(
        report(
            [
                finished("test_faults_stalled", "passed", (KEY, json.dumps(row))),
                finished("test_faults_stalled", "failed"),
                finished("test_faults_order", "passed"),
                finished("test_of_something_else", "failed"),
            ]
        )
    )
    assert lines == [
        f"  2  {CHECKS[2].what}: 1 passed",
        f" 12  {CHECKS[12].what}: 1 failed, 1 passed",
        "     [8 seconds]",
        "       node      0.1 s",
        "       orthanc   no answer",
    ]


def test_every_check_is_decided_by_a_test_that_exists() -> None:
    tests = {path.stem for path in Path(__file__).resolve().parents[1].rglob("test_*.py")}
    assert {file for check in CHECKS.values() for file in check.files} <= tests
