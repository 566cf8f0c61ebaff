"""The gate: what must hold for every derived instance before it is staged, read back from its bytes.

Validators of the standard pass most of these faults: an image that still says ORIGINAL, its source's own UID, another
patient, a moved position, lossy compression without its ratio.
"""

from collections.abc import Iterator, Sequence
from io import BytesIO
from typing import Any

from pydicom import Dataset, dcmread

from dicomnode.derive.derivation import Derivation, DerivedInstance, SourceReference
from dicomnode.derive.errors import BrokenInstance
from dicomnode.derive.identification import image_type_values
from dicomnode.derive.lossy import METHODS, transfer_syntax
from dicomnode.derive.pixels import PixelFormat, Pixels, padding_mask, padding_range
from dicomnode.derive.series import DESCRIPTION_LENGTH, IS_MAX
from dicomnode.derive.sop_classes import SECONDARY_CAPTURE
from dicomnode.domain.provenance import is_derived_by_dicomnode

SAME = ("StudyInstanceUID", "StudyID", "AccessionNumber", "PatientID", "PatientName", "PatientBirthDate", "PatientSex")
SAME_PLACE = ("Rows", "Columns", "PixelSpacing", "ImagePositionPatient", "ImageOrientationPatient")


def check(
    instance: DerivedInstance, source: Dataset, derivation: Derivation, neighbours: Sequence[SourceReference] = ()
) -> None:
    """Raise BrokenInstance, naming every fault, unless `instance` is a sound derivation of `source`."""
    derived = dcmread(BytesIO(instance.file_bytes))
    faults = [
        *_identity(instance, derived, source),
        *_context(derived, source, derivation),
        *_sources(derived, source, neighbours),
        *_pixels(derived),
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
    for keyword in SAME:
        if _value(derived, keyword) != _value(source, keyword):
            yield f"{keyword} is not the source's"
    if derivation.same_grid and derived.get("SOPClassUID") != SECONDARY_CAPTURE:
        for keyword in SAME_PLACE:
            if derived.get(keyword) != source.get(keyword):
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


def _pixels(derived: Dataset) -> Iterator[str]:
    length = PixelFormat.of(derived).length
    if len(derived.get("PixelData") or b"") != length + length % 2:
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


def _value(dataset: Dataset, keyword: str) -> Any:
    """Absent and empty are the same, and so is padding."""
    value = dataset.get(keyword)
    return str(value).strip() if value is not None else ""
