"""Every status that a destination may give has words, and all but success have something to do."""

import pytest

from dicomnode.deliver.outcome import STORE_STATUSES, from_status
from dicomnode.desk.status_words import words_of


@pytest.mark.parametrize("row", STORE_STATUSES, ids=lambda row: f"{row.first:04X}")
def test_known_statuses(row: object) -> None:
    for status in (row.first, row.last):  # type: ignore[attr-defined]
        words = words_of(status)
        assert words.code == f"{status:04X}"
        assert words.means == row.words  # type: ignore[attr-defined]
        assert bool(words.todo) == (status != 0)


def test_a_status_that_dicom_does_not_know_and_none_at_all() -> None:
    assert "conformance statement" in words_of(0x0999).todo
    assert words_of(None, "PACS does not take it").means == "PACS does not take it"
    assert "probe" in words_of(None, "PACS does not take it").todo.lower()
    assert words_of(None) == ("", "not answered yet", "", "")


def test_what_the_node_adds_is_told_once() -> None:
    said = from_status(0xB000).as_transcoded("PACS", "1.2.840.10008.1.2.4.70", "1.2.840.10008.1.2.1")
    words = words_of(said.status, said.detail)
    assert words.more.startswith("transcoded from JPEG Lossless")
    assert words_of(0xB000, from_status(0xB000).detail).more == ""
