"""The gate: what must hold for every derived instance before it is staged, read back from its bytes.

Validators of the standard pass most of these faults: an image that still says ORIGINAL, its source's own UID, another
patient, a moved position, lossy compression without its ratio.
"""

import struct
from collections.abc import Iterator, Sequence
from io import BytesIO
from typing import Any, cast

from pydicom import Dataset, dcmread
from pydicom.dataelem import RawDataElement

from dicomnode.derive.derivation import Derivation, DerivedInstance, SourceReference
from dicomnode.derive.elements import PIXEL_DATA
from dicomnode.derive.encode import Element
from dicomnode.derive.errors import BrokenInstance
from dicomnode.derive.identification import image_type_values
from dicomnode.derive.lossy import METHODS, transfer_syntax
from dicomnode.derive.pixels import PixelFormat, Pixels, padding_mask, padding_range
from dicomnode.derive.series import DESCRIPTION_LENGTH, IS_MAX
from dicomnode.derive.sop_classes import SECONDARY_CAPTURE
from dicomnode.derive.tags import tag_of
from dicomnode.domain.provenance import is_derived_by_dicomnode

_PIXELS_BEGIN = 12
SAME = ("StudyInstanceUID", "StudyID", "AccessionNumber", "PatientID", "PatientName", "PatientBirthDate", "PatientSex")
SAME_PLACE = ("Rows", "Columns", "PixelSpacing", "ImagePositionPatient", "ImageOrientationPatient")


def check(
    instance: DerivedInstance, source: Dataset, derivation: Derivation, neighbours: Sequence[SourceReference] = ()
) -> None:
    """Raise BrokenInstance, naming every fault, unless `instance` is a sound derivation of `source`."""
    stream = BytesIO(instance.file_bytes)
    derived = dcmread(stream, stop_before_pixels=True)
    pixel_data = memoryview(instance.file_bytes)[stream.tell() :]
    faults = [
        *_identity(instance, derived, source),
        *_context(derived, source, derivation),
        *_sources(derived, source, neighbours),
        *_pixels(derived, pixel_data),
        *_lossy(derived, source),
    ]
    if faults:
        raise BrokenInstance(f"derived instance {instance.sop_instance_uid}: {'; '.join(faults)}")


def check_padding(stored: Pixels, source: Dataset, source_pixels: Pixels | None, form: PixelFormat) -> None:
    """Raise BrokenInstance unless `stored` holds padding where the source has it, and nowhere else."""
    padding = padding_range(source, form)
    if padding is None or source_pixels is None:
        return
    found = (stored >= padding[0]) & (stored <= padding[1])
    if (found != padding_mask(source_pixels, padding, stored.shape)).any():
        raise BrokenInstance("padding is not where the source has it")


def _identity(instance: DerivedInstance, derived: Dataset, source: Dataset) -> Iterator[str]:
    if str(derived.get("SOPInstanceUID")) != instance.sop_instance_uid:
        yield "SOPInstanceUID is not the instance's"
    if str(derived.file_meta.get("MediaStorageSOPInstanceUID")) != instance.sop_instance_uid:
        yield "file meta names another instance"
    if (
        not str(derived.get("SOPClassUID"))
        == derived.file_meta.get("MediaStorageSOPClassUID")
        == instance.sop_class_uid
    ):
        yield "file meta names another class"
    for keyword in ("SOPInstanceUID", "SeriesInstanceUID"):
        uid = derived.get(keyword)
        if not uid or not uid.is_valid:
            yield f"{keyword} is not a valid UID"
        if uid == source.get(keyword):
            yield f"{keyword} is the source's"
    if image_type_values(derived)[:1] != ["DERIVED"]:
        yield "ImageType does not say DERIVED"
    if not is_derived_by_dicomnode(derived):
        yield "the loop guard's mark is missing"


def _context(derived: Dataset, source: Dataset, derivation: Derivation) -> Iterator[str]:
    one_alphabet = _as_it_came(derived, source, "SpecificCharacterSet")
    for keyword in SAME:
        copied = one_alphabet and _as_it_came(derived, source, keyword)
        if not copied and _value(derived, keyword) != _value(source, keyword):
            yield f"{keyword} is not the source's"
    if derivation.same_grid and derived.get("SOPClassUID") != SECONDARY_CAPTURE:
        for keyword in SAME_PLACE:
            if not _as_it_came(derived, source, keyword) and derived.get(keyword) != source.get(keyword):
                yield f"{keyword} is not the source's"
    if derived.get("SeriesInstanceUID") != derivation.series.series_uid:
        yield "SeriesInstanceUID is not the derived series'"
    description = str(derived.get("SeriesDescription") or "")
    if not description or len(description) > DESCRIPTION_LENGTH:
        yield f"SeriesDescription has {len(description)} characters"
    number = derived.get("SeriesNumber")
    if number is None or abs(int(number)) > IS_MAX:
        yield "SeriesNumber is empty or no Integer String"


def _sources(derived: Dataset, source: Dataset, neighbours: Sequence[SourceReference]) -> Iterator[str]:
    wanted = {str(source.get("SOPInstanceUID")), *(image.sop_instance_uid for image in neighbours)}
    named = [str(item.ReferencedSOPInstanceUID) for item in derived.get("SourceImageSequence") or []]
    if sorted(named) != sorted(wanted):
        yield "SourceImageSequence does not name each contributing image once"
    located = {
        str(item.ReferencedSOPInstanceUID)
        for series in derived.get("ReferencedSeriesSequence") or []
        for item in series.ReferencedInstanceSequence
        if series.SeriesInstanceUID == source.get("SeriesInstanceUID")
    }
    if not wanted <= located:
        yield "ReferencedSeriesSequence does not name each contributing image"
    if not derived.get("DerivationDescription"):
        yield "DerivationDescription is missing"


def _pixels(derived: Dataset, element: memoryview) -> Iterator[str]:
    """`element` is all from PixelData on: tag, VR, two bytes that are zero, length, value (PS3.5 7.1.2)."""
    length = PixelFormat.of(derived).length
    length += length % 2
    group, number, _, said = struct.unpack_from("<HH4sI", element) if len(element) >= _PIXELS_BEGIN else (0, 0, b"", 0)
    if (group << 16 | number, said, len(element)) != (PIXEL_DATA, length, length + _PIXELS_BEGIN):
        yield "PixelData has not the length that Rows, Columns and bits ask for"


def _lossy(derived: Dataset, source: Dataset) -> Iterator[str]:
    if source.get("LossyImageCompression") == "01" and derived.get("LossyImageCompression") != "01":
        yield "the history of lossy compression was reset"
    if transfer_syntax(source) in METHODS and not (
        derived.get("LossyImageCompression") == "01"
        and derived.get("LossyImageCompressionRatio")
        and derived.get("LossyImageCompressionMethod")
    ):
        yield "the source was lossily compressed, and the instance does not tell how"


def _as_it_came(derived: Dataset, source: Dataset, keyword: str) -> bool:
    """Whether both hold the same bytes of a value that nobody has read yet, or neither has it. Saves reading it."""
    tag = tag_of(keyword)
    ours, theirs = (cast(Element | None, each.get_item(tag)) for each in (derived, source))
    if ours is None or theirs is None:
        return ours is theirs
    if not isinstance(ours, RawDataElement) or not isinstance(theirs, RawDataElement):
        return False
    return (ours.VR, ours.value) == (theirs.VR, theirs.value) and theirs.is_little_endian


def _value(dataset: Dataset, keyword: str) -> Any:
    """Absent and empty are the same, and so is padding."""
    value = dataset.get(keyword)
    return str(value).strip() if value is not None else ""
