"""What was done, to which images, and by which model."""

from collections.abc import Sequence
from typing import Any

from pydicom import Dataset

from dicomnode.derive.codes import (
    FOR_PROCESSING_PREDECESSOR,
    SOURCE_IMAGE,
    code_item,
    coded,
    local_schemes,
    scheme_item,
)
from dicomnode.derive.derivation import Derivation, SourceReference
from dicomnode.derive.encode import Item

DESCRIPTION_LENGTH = 1024
"""DerivationDescription is a Short Text (PS3.5 6.2)."""


def derivation_of(source: Dataset, derivation: Derivation) -> dict[str, Any]:
    """DerivationDescription and DerivationCodeSequence (C.7.6.1.1.3), behind what the source has of them."""
    new: dict[str, Any] = {"DerivationDescription": _description(source, derivation)}
    items = [code_item(code.value, code.scheme, code.meaning) for code in derivation.codes]
    if items:
        new["DerivationCodeSequence"] = [*(source.get("DerivationCodeSequence") or []), *items]
    declared = source.get("CodingSchemeIdentificationSequence") or []
    known = {str(item.get("CodingSchemeDesignator")) for item in declared}
    missing = local_schemes({code.scheme for code in derivation.codes} - known)
    if missing:
        new["CodingSchemeIdentificationSequence"] = [*declared, *map(scheme_item, missing)]
    return new


def references(source: Dataset, derivation: Derivation, neighbours: Sequence[SourceReference]) -> dict[str, Any]:
    """SourceImageSequence (C.7.6.1.1.4) and ReferencedSeriesSequence (C.12.2) with each contributing image once."""
    own = SourceReference(str(source.SOPClassUID), str(source.SOPInstanceUID))
    images = list(dict.fromkeys([own, *neighbours]))
    raw = source.get("PresentationIntentType") == "FOR PROCESSING"
    said = {
        "SpatialLocationsPreserved": "YES" if derivation.same_grid else "NO",
        "PurposeOfReferenceCodeSequence": [coded(FOR_PROCESSING_PREDECESSOR if raw else SOURCE_IMAGE)],
    }
    return {
        "SourceImageSequence": [_reference(image) | said for image in images],
        "ReferencedSeriesSequence": _referenced_series(source, images),
    }


def _reference(image: SourceReference) -> dict[str, Any]:
    return {"ReferencedSOPClassUID": image.sop_class_uid, "ReferencedSOPInstanceUID": image.sop_instance_uid}


def _referenced_series(source: Dataset, images: list[SourceReference]) -> list[Item]:
    """Earlier items stay; an item of the source's own series gets our images added."""
    uid = str(source.SeriesInstanceUID)
    others: list[Item] = []
    instances: list[Item] = []
    for item in source.get("ReferencedSeriesSequence") or []:
        if item.get("SeriesInstanceUID") == uid:
            instances += list(item.get("ReferencedInstanceSequence") or [])
        else:
            others.append(item)
    known = {item.get("ReferencedSOPInstanceUID") for item in instances}
    instances += [_reference(image) for image in images if image.sop_instance_uid not in known]
    return [*others, {"SeriesInstanceUID": uid, "ReferencedInstanceSequence": instances}]


def _description(source: Dataset, derivation: Derivation) -> str:
    """`<before>; <what> by <pipeline> <version> (deep learning, weights sha256 ...)`; what came before is cut first."""
    recipe = derivation.recipe
    model = f" (deep learning, weights sha256 {recipe.weights_sha256})" if recipe.weights_sha256 else ""
    said = f"{derivation.description or 'processed'} by {recipe.pipeline} {recipe.version}{model}"
    said = said.encode("ascii", "replace").decode()[:DESCRIPTION_LENGTH]
    before = str(source.get("DerivationDescription") or "").strip()[: DESCRIPTION_LENGTH - len(said) - 2]
    return f"{before}; {said}" if before else said
