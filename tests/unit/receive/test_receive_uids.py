import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicomnode.domain.usable_uid import is_usable_uid
from dicomnode.receive.storage_classes import NOT_STORAGE, is_storage_class
from dicomnode.receive.transfer_syntaxes import RANKS, Rank, by_preference


@pytest.mark.parametrize("uid", ["1.2.3", "1.2.840.10008.1.1", "2.25." + "9" * 59, "0", "1.2.03", "7.1", "123"])
def test_usable(uid: str) -> None:
    assert is_usable_uid(uid)


@pytest.mark.parametrize(
    "uid",
    ["", " ", ".", "..", "1..2", ".1", "1.", "../../x", "1.2/3", "1.2 3", "1.2\n", "1.2.a", "-1.2", "1.2\\3", "١.٢",
     "1" * 65, "1.2.3\0"],
)  # fmt: skip
def test_not_usable(uid: str) -> None:
    assert not is_usable_uid(uid)


@given(st.text())
def test_what_is_usable_is_safe_as_a_key(text: str) -> None:
    if is_usable_uid(text):
        assert set(text) <= set("0123456789.")
        assert 1 <= len(text) <= 64
        assert ".." not in text


@pytest.mark.parametrize(
    "uid",
    [
        "1.2.840.10008.5.1.4.1.1.2",  # CT
        "1.2.840.10008.5.1.4.1.1.6",  # ultrasound, retired
        "1.2.840.10008.5.1.4.1.1.104.1",  # encapsulated PDF
        "1.2.840.10008.5.1.4.38.1",  # hanging protocol
        "1.2.840.10008.5.1.4.1.1.999.7",  # of an edition to come
        "1.2.276.0.7230010.3.1.0.1",  # private
        "1.2.840.113619.4.30",  # private, GE
    ],
)
def test_storage_classes(uid: str) -> None:
    assert is_storage_class(uid)


@pytest.mark.parametrize(
    "uid",
    [
        *NOT_STORAGE,
        "1.2.840.10008.1.1",  # Verification
        "1.2.840.10008.5.1.4.1.2.2.1",  # Study Root FIND
        "1.2.840.10008.3.1.2.3.3",  # MPPS
        "1.2.840.10008.5.1.1.9",  # Basic Grayscale Print Management, a meta class
        "1.2.840.10008.1.2.1",  # a transfer syntax
        "../../x",
    ],
)
def test_other_classes(uid: str) -> None:
    assert not is_storage_class(uid)


def test_best_transfer_syntax_first() -> None:
    jpeg = "1.2.840.10008.1.2.4."
    offered = [
        "1.2.3.4",
        jpeg + "110",
        jpeg + "50",
        jpeg + "90",
        jpeg + "70",
        "1.2.840.10008.1.2",
        "1.2.840.10008.1.2.1",
    ]
    expected = [
        "1.2.840.10008.1.2.1",
        "1.2.840.10008.1.2",
        jpeg + "90",
        jpeg + "70",
        jpeg + "50",
        "1.2.3.4",
        jpeg + "110",
    ]
    assert by_preference(offered) == expected


@given(st.permutations([*RANKS, "1.2.3", "1.2.840.10008.1.2.4.102"]))
def test_preference_is_a_stable_order(offered: list[str]) -> None:
    ordered = by_preference(offered)
    ranks = [RANKS.get(uid, Rank.UNDECODABLE) for uid in ordered]
    assert ranks == sorted(ranks)
    assert sorted(ordered) == sorted(offered)
    same = [uid for uid in offered if RANKS.get(uid) == Rank.LOSSY]
    assert [uid for uid in ordered if RANKS.get(uid) == Rank.LOSSY] == same
