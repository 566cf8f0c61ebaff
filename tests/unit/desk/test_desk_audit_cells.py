"""Cells of an export, for programs that take some texts for more than text."""

import pytest

from dicomnode.desk.audit.exporting import _cell


@pytest.mark.parametrize(
    "text", ["=1", "+1", "-1", "@A1", "\t=1", "\r=1", "\n=1", "\uff1d1", "\uff0b1", "\uff0d1", "\uff201"]
)
def test_no_cell_begins_as_a_formula(text: str) -> None:
    assert _cell(text) == f"'{text}"


@pytest.mark.parametrize("text", ["", "CT1", "1.2.840", "'=1", "a=1"])
def test_other_text_stays_as_it_is(text: str) -> None:
    assert _cell(text) == text
