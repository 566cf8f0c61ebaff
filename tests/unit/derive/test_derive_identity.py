"""UIDs and bytes: functions of the source and the recipe alone."""

from dataclasses import replace
from io import BytesIO
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import dcmread
from pydicom.uid import UID, ExplicitVRLittleEndian
from support.derivations import derivation_for, derive_again, file_of, parsed, pixels_of, recipe

from dicomnode.derive import BrokenInstance, CannotDerive, derive_instance
from dicomnode.domain.recipe import Recipe
from dicomnode.domain.uid import IMPLEMENTATION_CLASS_UID, derived_uid

texts = st.text(max_size=20)
scalars = st.one_of(st.integers(-100, 100), st.booleans(), texts)
recipes = st.builds(
    Recipe,
    pipeline=texts,
    version=texts,
    weights_sha256=texts,
    params=st.dictionaries(texts, scalars, max_size=3),
    writer_profile=st.dictionaries(texts, scalars, max_size=3),
)
uids = st.lists(st.integers(0, 10**9), min_size=1, max_size=5).map(lambda parts: ".".join(["1.2", *map(str, parts)]))


@given(recipes, uids, st.integers(0, 5), st.integers(0, 5))
def test_uid_is_valid_and_repeats_itself(made: Recipe, source: str, ordinal: int, generation: int) -> None:
    uid = derived_uid("sop", source, made, ordinal=ordinal, generation=generation)
    assert UID(uid).is_valid
    assert len(uid) <= 64
    assert uid == derived_uid("sop", source, replace(made), ordinal=ordinal, generation=generation)
    assert uid != derived_uid("series", source, made, ordinal=ordinal, generation=generation)


@given(recipes, recipes, uids, uids)
def test_another_recipe_or_source_is_another_uid(one: Recipe, other: Recipe, source: str, another: str) -> None:
    if one.canonical() != other.canonical():
        assert derived_uid("sop", source, one) != derived_uid("sop", source, other)
    if source != another:
        assert derived_uid("sop", source, one) != derived_uid("sop", another, one)
    assert derived_uid("sop", source, one) != derived_uid("sop", source, one, generation=1)
    assert derived_uid("sop", source, one) != derived_uid("sop", source, one, ordinal=1)


@pytest.mark.parametrize(
    "change",
    [
        {"pipeline": "mr-denoise"},
        {"version": "1.2.1"},
        {"weights_sha256": "cd" * 32},
        {"params": {"strength": 0.7}},
        {"writer_profile": {"content_qualification": "PRODUCT"}},
    ],
    ids=lambda change: next(iter(change)),
)
def test_any_change_of_the_recipe_is_another_series_and_instance(change: dict[str, Any]) -> None:
    source = dcmread(file_of("CT_small.dcm"))
    first, second = derive_again(source), derive_again(source, recipe=recipe(**change))
    assert first.sop_instance_uid != second.sop_instance_uid
    assert parsed(first).SeriesInstanceUID != parsed(second).SeriesInstanceUID


@pytest.mark.parametrize("name", ["CT_small.dcm", "MR_small_implicit.dcm", "ExplVR_BigEnd.dcm", "MR_small_RLE.dcm"])
def test_same_input_same_bytes_read_or_not(name: str) -> None:
    """Whether somebody has looked at the header's values must not show in the file."""
    data = file_of(name).read_bytes()
    pixels = pixels_of(dcmread(BytesIO(data)))
    fresh = dcmread(BytesIO(data), stop_before_pixels=True)
    looked_at = dcmread(BytesIO(data))
    assert sum(1 for _ in looked_at.iterall()) > 0
    derivation = derivation_for(dcmread(BytesIO(data)))
    made = [
        derive_instance(source, pixels, derivation, units="stored", source_pixels=pixels)
        for source in (fresh, looked_at, fresh)
    ]
    assert made[0] == made[1] == made[2]


def test_source_is_left_alone() -> None:
    source = dcmread(file_of("RG1_UNCI.dcm"))
    before = source.to_json()
    derive_again(source, flag_reason="because")
    assert source.to_json() == before


def test_file_is_a_part_10_file_of_ours() -> None:
    source = dcmread(file_of("CT_small.dcm"))
    made = derive_again(source)
    meta = parsed(made).file_meta
    assert made.file_bytes[:132] == bytes(128) + b"DICM"
    assert meta.MediaStorageSOPInstanceUID == made.sop_instance_uid
    assert meta.MediaStorageSOPClassUID == made.sop_class_uid == source.SOPClassUID
    assert meta.TransferSyntaxUID == made.transfer_syntax_uid == ExplicitVRLittleEndian
    assert meta.ImplementationClassUID == IMPLEMENTATION_CLASS_UID
    assert meta.SourceApplicationEntityTitle == "DICOMNODE"
    assert made.source_sop_uid == source.SOPInstanceUID


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=400))
def test_torn_headers_give_an_instance_or_a_reason(noise: bytes) -> None:
    """Bytes of the header overwritten: what pydicom still reads is derived or refused in words."""
    data = bytearray(file_of("MR_small.dcm").read_bytes())
    for place, byte in zip(noise[::2], noise[1::2], strict=False):
        data[400 + place * 4] = byte
    pixels = pixels_of(dcmread(file_of("MR_small.dcm")))
    try:
        source = dcmread(BytesIO(bytes(data)), stop_before_pixels=True)
        derivation = derivation_for(source)
    except Exception:
        return
    try:
        made = derive_instance(source, pixels, derivation, units="stored", source_pixels=pixels, source_length=100)
    except (CannotDerive, BrokenInstance) as refusal:
        reason = str(refusal)
    else:
        reason = made.sop_instance_uid
    assert reason
