"""Statuses and rejections: the tables, against the standard's own lists."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.uid import CTImageStorage, JPEGBaseline8Bit
from pynetdicom.status import STORAGE_SERVICE_CLASS_STATUS

from dicomnode.deliver.outcome import (
    STORE_STATUSES,
    FailureKind,
    Outcome,
    from_status,
    no_response,
    refused_context,
    rejected,
)


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        (0x0000, Outcome.STORED),
        (0xB000, Outcome.WARNING),
        (0xB006, Outcome.WARNING),
        (0xB007, Outcome.WARNING),
        (0xA700, Outcome.TRANSIENT),
        (0xA7FF, Outcome.TRANSIENT),
        (0xA900, Outcome.PERMANENT),
        (0xC000, Outcome.PERMANENT),
        (0xC211, Outcome.PERMANENT),
        (0xCFFF, Outcome.PERMANENT),
        (0x0117, Outcome.PERMANENT),
        (0x0122, Outcome.PERMANENT),
        (0x0124, Outcome.PERMANENT),
        (0x0111, Outcome.PERMANENT),
        (0xB001, Outcome.WARNING),
        (0xB0FF, Outcome.WARNING),
        (0xB100, Outcome.PERMANENT),
        (0xFF00, Outcome.PERMANENT),
    ],
)
def test_the_outcome_of_a_status(status: int, outcome: Outcome) -> None:
    response = from_status(status)
    assert response.outcome is outcome
    assert response.status == status
    assert response.detail.startswith(f"{status:04X}: ")
    assert response.stored == (outcome in (Outcome.STORED, Outcome.WARNING))


@given(st.integers(0, 0xFFFF))
def test_every_status_has_words_and_a_clause(status: int) -> None:
    assert "PS3." in from_status(status).detail


def test_no_two_rows_claim_one_status() -> None:
    rows = sorted(STORE_STATUSES, key=lambda row: row.first)
    assert all(row.first <= row.last for row in rows)
    assert all(one.last < two.first for one, two in itertools.pairwise(rows))


def test_the_table_agrees_with_pynetdicom_on_what_is_stored() -> None:
    for status, (category, _) in STORAGE_SERVICE_CLASS_STATUS.items():
        if status >= 0xA000 or status == 0:
            assert from_status(status).stored == (category in ("Success", "Warning")), hex(status)


def test_no_response_is_transient_and_has_no_status() -> None:
    response = no_response("the peer was silent")
    assert (response.outcome, response.status, response.stored) == (Outcome.TRANSIENT, None, False)


def test_a_refused_context_names_the_class_and_the_syntax() -> None:
    response = refused_context("PACS", CTImageStorage, JPEGBaseline8Bit, 4)
    assert response.outcome is Outcome.PERMANENT
    assert "PACS does not take CT Image Storage in JPEG Baseline" in response.detail
    assert "transfer syntax not supported" in response.detail


@pytest.mark.parametrize(
    ("code", "transient", "words"),
    [
        ((1, 1, 7), False, "called AE title"),
        ((1, 1, 3), False, "calling AE title"),
        ((1, 1, 2), False, "application context"),
        ((1, 1, 1), False, "no reason"),
        ((1, 2, 2), False, "protocol version"),
        ((2, 3, 1), True, "congested"),
        ((2, 3, 2), True, "limit of associations"),
        ((1, 3, 2), True, "limit of associations"),
        ((2, 1, 1), True, "no reason"),
    ],
)
def test_rejections(code: tuple[int, int, int], transient: bool, words: str) -> None:
    failure = rejected("pacs", *code)
    assert failure.transient is transient
    assert failure.kind is (FailureKind.REJECTED if transient else FailureKind.CONFIGURATION)
    assert words in failure.reason
    assert failure.reason.startswith("configuration error: ") is not transient
