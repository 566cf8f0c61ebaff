"""What `models train --check` says: what would be used, and for each reason how much would not. Names nobody."""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from dicomnode.cli.models.candidates import Found
from dicomnode.cli.models.judging import Judged
from dicomnode.cli.models.patients import held_out


def survey(found: Found, judged: Judged) -> dict[str, Any]:
    """Counts of files, series, volumes, patients and slices; spacings; the reasons of what is left out."""
    by_patient = Counter[tuple[str, ...]]()
    for volume in judged.volumes:
        by_patient[volume.patient] += len(volume.slices)
    anonymous = {str(number): slices for number, slices in enumerate(by_patient.values())}
    rows = [{"what": "series", "count": n, "reason": reason} for reason, n in judged.series_left_out.most_common()]
    rows += [{"what": "images", "count": n, "reason": reason} for reason, n in judged.images_left_out.most_common()]
    return {
        "files": found.files,
        "not_dicom": found.not_dicom,
        "series": len(found.candidates),
        "volumes": len(judged.volumes),
        "slices": sum(by_patient.values()),
        "patients": len(by_patient),
        "patients_held_out": len(held_out(anonymous)),
        "slice_distance_mm": _range(volume.spacing[0] for volume in judged.volumes),
        "pixel_mm": _range(volume.spacing[1] for volume in judged.volumes),
        "left_out": rows,
    }


def survey_rows(document: Mapping[str, Any]) -> Iterator[str]:
    """The same as lines for people, without the table of reasons."""
    yield f"{document['files']} files, {document['not_dicom']} of them not DICOM; {document['series']} series"
    if not document["volumes"]:
        yield "nothing can be used"
        return
    patients = "1 patient" if document["patients"] == 1 else f"{document['patients']} patients"
    used = f"{document['volumes']} volumes of {patients}, {document['slices']} slices"
    yield f"would be used: {used}"
    yield f"  slices {_span(document['slice_distance_mm'])} mm apart, pixels of {_span(document['pixel_mm'])} mm"
    if document["patients_held_out"]:
        yield f"  held out for validation: {document['patients_held_out']} of the {document['patients']} patients"
    else:
        yield "  held out: nobody, since there is one patient alone; some slices from the middle of the body instead,"
        yield "  which says nothing about other patients"
    if document["left_out"]:
        yield "left out:"


def _range(values: Iterator[float] | Any) -> list[float]:
    listed = [round(value, 3) for value in values]
    return [min(listed), max(listed)] if listed else []


def _span(ends: list[float]) -> str:
    return f"{ends[0]:g}" if ends[0] == ends[1] else f"{ends[0]:g} to {ends[1]:g}"
