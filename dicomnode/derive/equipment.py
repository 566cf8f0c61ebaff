"""Which equipment made the image: the node; the scanner becomes a contributor (C.7.5.1, C.12.1.1.5 notes 1 and 3)."""

from functools import lru_cache
from typing import Any

from highdicom import ContributingEquipment
from pydicom import Dataset

from dicomnode import __version__
from dicomnode.derive.changes import SCANNER_EQUIPMENT
from dicomnode.derive.codes import ACQUISITION_EQUIPMENT, PROCESSING_EQUIPMENT, purpose
from dicomnode.derive.derivation import Derivation
from dicomnode.derive.identification import image_type_values
from dicomnode.domain.provenance import MANUFACTURER, MODEL_NAME

_IDENTITY = ("Manufacturer", "ManufacturerModelName", "StationName", "SoftwareVersions")
_INSTITUTION = ("InstitutionName", "InstitutionAddress", "InstitutionalDepartmentName")
_NOT_IN_MACRO = {"GantryID"}
_TEXT_LENGTH = 64


def equipment(source: Dataset, derivation: Derivation) -> dict[str, Any]:
    """General Equipment of the node, unless the rule keeps the scanner's, and both in ContributingEquipmentSequence."""
    item = _node_item(
        derivation.ae_title,
        _software(derivation),
        "".join((derivation.series.series_date, derivation.series.series_time, derivation.series.utc_offset)),
        derivation.description.encode("ascii", "replace").decode()[:1024],
    )
    before = list(source.get("ContributingEquipmentSequence") or [])
    new: dict[str, Any] = {"ContributingEquipmentSequence": [*before, *_source_items(source), item]}
    if not derivation.profile.keep_scanner_equipment:
        new["Manufacturer"] = MANUFACTURER
        new["ManufacturerModelName"] = MODEL_NAME
        new["SoftwareVersions"] = list(_software(derivation))
        new["StationName"] = derivation.ae_title
    return new


def _software(derivation: Derivation) -> tuple[str, str]:
    """Each a Long String."""
    recipe = derivation.recipe
    return __version__, f"{recipe.pipeline} {recipe.version}"[:_TEXT_LENGTH]


def _source_items(source: Dataset) -> list[Dataset]:
    """The equipment of the source as an item; none where it names no equipment at all."""
    item = Dataset()
    for keyword in (*_IDENTITY, *_INSTITUTION, *(SCANNER_EQUIPMENT.keys() - _NOT_IN_MACRO)):
        element = source.get(keyword) and source[keyword]
        if element:
            item.add(element)
    if not any(keyword in item for keyword in (*_IDENTITY, *SCANNER_EQUIPMENT)):
        return []
    if "Manufacturer" not in item:
        item.Manufacturer = "UNKNOWN"
    derived = image_type_values(source)[:1] == ["DERIVED"]
    item.PurposeOfReferenceCodeSequence = purpose(PROCESSING_EQUIPMENT if derived else ACQUISITION_EQUIPMENT)
    return [item]


@lru_cache(maxsize=64)
def _node_item(ae_title: str, software: tuple[str, str], when: str, description: str) -> Dataset:
    item: Dataset = ContributingEquipment(
        manufacturer=MANUFACTURER,
        purpose_of_reference=PROCESSING_EQUIPMENT,
        manufacturer_model_name=MODEL_NAME,
        software_versions=list(software),
        station_name=ae_title,
        contribution_datetime=when,
        contribution_description=description,
    )
    return item
