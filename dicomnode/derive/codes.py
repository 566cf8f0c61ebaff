"""Coded concepts: the purposes that we give as reasons, and items made of the pipeline's own codes."""

from functools import lru_cache
from typing import Any

from highdicom.sr import CodedConcept
from pydicom import Dataset
from pydicom.sr.codedict import codes

SOURCE_IMAGE = codes.DCM.SourceImageForImageProcessingOperation
FOR_PROCESSING_PREDECESSOR = codes.DCM.ForProcessingPredecessor
ACQUISITION_EQUIPMENT = codes.DCM.AcquisitionEquipment
PROCESSING_EQUIPMENT = codes.DCM.ProcessingEquipment


@lru_cache(maxsize=256)
def code_item(value: str, scheme: str, meaning: str) -> Dataset:
    """An item of a code sequence (PS3.3 8.8). Shared: not to be changed."""
    concept: Dataset = CodedConcept(value=value, scheme_designator=scheme, meaning=meaning)
    return concept


LOCAL_SCHEME = "99DICOMNODE"
"""Coding scheme of the codes that our pipelines bring along, where CID 7203 has none."""


def local_schemes(used: set[str]) -> list[str]:
    """Private coding schemes (`99...`, PS3.3 8.2), which the data set itself has to declare."""
    return sorted(scheme for scheme in used if scheme.startswith("99"))


def scheme_item(scheme: str) -> Dataset:
    """An item of CodingSchemeIdentificationSequence (C.12.1.1.3)."""
    name = {"CodingSchemeName": "dicomnode"} if scheme == LOCAL_SCHEME else {}
    return item_of({"CodingSchemeDesignator": scheme, **name})


def purpose(code: Any) -> list[Dataset]:
    """The one item of PurposeOfReferenceCodeSequence."""
    return [code_item(code.value, code.scheme_designator, code.meaning)]


def coded(code: Any) -> dict[str, Any]:
    """An item of a code sequence, of a code of at most 16 characters, as keywords and values."""
    return {"CodeValue": code.value, "CodingSchemeDesignator": code.scheme_designator, "CodeMeaning": code.meaning}


def item_of(elements: dict[str, Any]) -> Dataset:
    """A data set of keywords and values."""
    item = Dataset()
    for keyword, value in elements.items():
        setattr(item, keyword, value)
    return item
