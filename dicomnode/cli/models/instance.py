"""Why a single image is no example to train from, by its header alone. CT; the pipeline's own `skips` is asked beside.

What is refused here would teach a network what no scanner measured (derived, lossy, coloured images), what has no
known scale (no HU, no millimetres), or would carry a name in its pixels (burned-in annotation).
"""

import re
from collections.abc import Callable, Iterator

from pydicom import Dataset

_HEAD = re.compile(
    r"\b(HEAD(NECK)?|BRAIN|SKULL|FACE|FACIAL|ORBITS?|SINUS(ES)?|JAW|MAXILLA|MANDIBLE|TEMPORAL|DENTAL|CRANI\w*|CEREBR\w*|"
    r"KOPF|SCH(Ä|AE)DEL|GESICHT|CR(Â|A)NE|T(Ê|E)TE|CABEZA|TESTA)\b"
)
_SAY_WHERE = ("BodyPartExamined", "StudyDescription", "SeriesDescription", "ProtocolName")


def why_not(header: Dataset) -> str | None:
    """The first reason against the image as a training example, or None. Names no patient, UID, date or path."""
    try:
        return next(_reasons(header), None)
    except Exception:  # an element with a broken value raises what its VR's reader raises
        return "its header cannot be read"


def _reasons(header: Dataset) -> Iterator[str]:
    for reason, applies in _CHECKS:
        if applies(header):
            yield reason


def _image_type(header: Dataset) -> list[str]:
    value = header.get("ImageType") or []
    return [str(part).strip().upper() for part in ([value] if isinstance(value, str) else value)]


def _text(header: Dataset, keyword: str) -> str:
    return str(header.get(keyword) or "").strip().upper()


def _not_original(header: Dataset) -> bool:
    """CT Image Type value 1 is ORIGINAL and value 2 PRIMARY for what the scanner reconstructed (PS3.3 C.8.2.1.1.1)."""
    parts = _image_type(header)
    return not ("ORIGINAL" in parts[:1] and "PRIMARY" in parts[1:2])


def _coloured(header: Dataset) -> bool:
    return int(header.get("SamplesPerPixel") or 1) > 1 or _text(header, "PhotometricInterpretation") == "PALETTE COLOR"


def _no_hounsfield(header: Dataset) -> bool:
    if header.get("ModalityLUTSequence"):
        return True
    stated = all(str(header.get(name, "")).strip() for name in ("RescaleSlope", "RescaleIntercept"))
    return not stated or _text(header, "RescaleType") not in ("", "HU")


def _no_spacing(header: Dataset) -> bool:
    spacing = header.get("PixelSpacing")
    return not spacing or len(spacing) != 2 or min(map(float, spacing)) <= 0


def _uneven_pixels(header: Dataset) -> bool:
    row, column = map(float, header.PixelSpacing)
    return abs(row - column) > 1e-3 * row or int(header.Rows) != int(header.Columns)


def _head(header: Dataset) -> bool:
    """Whether the header says so, in whatever words: Body Part Examined is often empty or wrong."""
    return any(_HEAD.search(_text(header, name).replace("_", " ")) for name in _SAY_WHERE)


def _no_place(header: Dataset) -> bool:
    return len(header.get("ImageOrientationPatient") or ()) != 6 or len(header.get("ImagePositionPatient") or ()) != 3


_CHECKS: tuple[tuple[str, Callable[[Dataset], bool]], ...] = (
    ("not an image", lambda h: not h.get("Rows") or not h.get("Columns")),
    ("not CT", lambda h: _text(h, "Modality") != "CT"),
    ("a localizer", lambda h: "LOCALIZER" in _image_type(h)),
    ("derived or secondary: not what the scanner reconstructed", _not_original),
    ("multi-frame", lambda h: int(h.get("NumberOfFrames") or 1) > 1),
    ("colour", _coloured),
    ("burned-in annotation: its pixels may name the patient", lambda h: _text(h, "BurnedInAnnotation") == "YES"),
    ("a head: its surface shows a face", _head),
    ("compressed with loss", lambda h: _text(h, "LossyImageCompression") == "01"),
    ("no Rescale Slope and Intercept to HU", _no_hounsfield),
    ("no Pixel Spacing", _no_spacing),
    ("not square, or pixels that are not", _uneven_pixels),
    ("no Image Position or Image Orientation", _no_place),
)
