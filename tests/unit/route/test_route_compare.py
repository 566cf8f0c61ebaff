"""Operators on single values."""

import pytest

from dicomnode.route.compare import satisfies

CASES = [
    # value, operator, expected, VR, result
    (("CT",), "equals", "ct", "CS", True),
    (("CT ",), "equals", " CT", "CS", True),
    (("CT",), "equals", "CTX", "CS", False),
    (("Übersicht",), "equals", "ÜBERSICHT", "LO", True),
    ((5.0,), "equals", 5, "DS", True),
    ((5,), "equals", "5.0", "IS", True),
    (("5",), "equals", 5.0, "LO", True),
    (("007",), "equals", "7", "LO", False),
    (("007",), "equals", 7, "LO", True),
    (("nan",), "equals", 7, "DS", False),
    (("1_0",), "equals", 10, "LO", False),
    ((9007199254740993,), "equals", "9007199254740992", "IS", False),
    ((1,), "equals", True, "IS", False),
    ((True,), "equals", True, "", True),
    ((False,), "not_equals", True, "", True),
    (("DERIVED", "SECONDARY"), "equals", "SECONDARY", "CS", True),
    (("DERIVED", "SECONDARY"), "not_equals", "SECONDARY", "CS", False),
    (("DERIVED", "SECONDARY"), "not_equals", "AXIAL", "CS", True),
    (("CT",), "in", ("MR", "ct"), "CS", True),
    ((3,), "in", ("1", "3"), "IS", True),
    (("CT",), "in", ("MR", "US"), "CS", False),
    (("Low Dose Chest",), "contains", "low dose", "LO", True),
    (("A", "B"), "contains", "A\\B", "CS", False),
    (("Head routine",), "starts_with", "HEAD", "LO", True),
    (("Head routine",), "ends_with", "routine ", "LO", True),
    ((512.0,), "starts_with", "51", "DS", True),
    ((1.25,), "lt", 1.5, "DS", True),
    (("1.25",), "lt", 1.5, "LO", True),
    ((1.5,), "lt", 1.5, "DS", False),
    ((1.5,), "le", 1.5, "DS", True),
    ((10,), "gt", "9", "IS", True),
    (("10",), "gt", "9", "LO", False),
    (("thin",), "lt", 5, "LO", False),
    (("thin",), "ge", 5, "LO", False),
    ((5.0, 0.5), "ge", 5, "DS", True),
    (("20240131",), "ge", "2024-01-31", "DA", True),
    (("2024.01.30",), "ge", "20240131", "DA", False),
    (("20240131",), "between", ("2024-01-01", "2024-12-31"), "DA", True),
    (("20240131",), "between", (20240101, 20241231), "DA", True),
    ((3,), "between", (1, 3), "IS", True),
    ((3.01,), "between", (1, 3), "DS", False),
    ((0, 9), "between", (1, 3), "IS", False),
]


@pytest.mark.parametrize(("value", "operator", "expected", "vr", "result"), CASES)
def test_operator(value, operator, expected, vr, result):
    assert satisfies(value, operator, expected, vr) is result
