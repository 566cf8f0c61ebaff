"""What the instances of a series have alike: worked out for the first, taken by all whose sources agree with it.

A source agrees where every value that is read here is the same, byte for byte; one that does not has a template of its
own. So the bytes of an instance do not depend on which others were derived before it.
"""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from pydicom import Dataset
from pydicom.dataelem import DataElement, RawDataElement

from dicomnode.derive.derivation import Derivation
from dicomnode.derive.elements import Elements
from dicomnode.derive.encode import Encoding, element_bytes
from dicomnode.derive.equipment import equipment
from dicomnode.derive.errors import CannotDerive
from dicomnode.derive.identification import identification
from dicomnode.derive.pixels import PixelFormat, Pixels
from dicomnode.derive.provenance import derivation_of
from dicomnode.derive.readable import UNDERSTOOD, require_readable
from dicomnode.derive.sop_classes import FLOATING_POINT, derived_class
from dicomnode.derive.tags import tags_of
from dicomnode.domain.provenance import is_derived_by_dicomnode

OWN = tags_of(
    (
        *("SOPInstanceUID", "ImagePositionPatient", "WindowCenter", "WindowWidth", "LossyImageCompressionRatio"),
        *("ContentDate", "ContentTime", "InstanceCreationDate", "InstanceCreationTime"),
    )
)
"""Values that differ within a series: what follows from them is not in a template."""

_ALIKE = UNDERSTOOD - OWN
_TEMPLATES = 64
"""Kept for one derivation. A series has one, or a few; one whose slices all differ gains nothing."""


@dataclass(frozen=True)
class Template:
    """The derived class, the pixels' form in the source and as stored, and the elements written, encoded, by tag."""

    sop_class: str
    source_form: PixelFormat
    form: PixelFormat
    encoding: Encoding
    written: Mapping[int, bytes]


def template_of(source: Dataset, pixels: Pixels, derivation: Derivation) -> Template:
    """The template for this source: a known one, or a new one. Raises CannotDerive for what is not to be derived."""
    known = derivation.templates
    key = _key(source, pixels, derivation)
    found = known.get(key)
    if found is not None:
        require_readable(source, OWN)
        return found
    made = _made(source, pixels, derivation)
    if len(known) >= _TEMPLATES:
        known.clear()
    known[key] = made
    return made


def _made(source: Dataset, pixels: Pixels, derivation: Derivation) -> Template:
    require_readable(source)
    if is_derived_by_dicomnode(source):
        raise CannotDerive("the source was derived by a dicomnode")
    sop_class = derived_class(source, secondary_capture=derivation.profile.sop_class == "secondary-capture")
    source_form = PixelFormat.of(source)
    form = _form(source_form, pixels, derivation)
    elements = Elements(Encoding.of(source), derivation.profile.keep_private)
    elements.write(identification(source, derivation, sop_class))
    elements.write(equipment(source, derivation))
    elements.write(derivation_of(source, derivation))
    elements.write(_colour(form, source_form))
    return Template(sop_class, source_form, form, elements.encoding, elements.written())


def _key(source: Dataset, pixels: Pixels, derivation: Derivation) -> Hashable:
    """All that a template follows from, but for the derivation: values as they came, or encoded where parsed."""
    elements = {int(tag): element for tag, element in source.items()}
    parsed: list[tuple[int, DataElement]] = []
    values: list[tuple[int, str | None, bytes | None]] = []
    for tag in sorted(_ALIKE & elements.keys()):
        element = elements[tag]
        if isinstance(element, RawDataElement):
            values.append((tag, element.VR, element.value))
        elif isinstance(element, DataElement):
            parsed.append((tag, element))
    if parsed:
        encoding, creators = Encoding.of(source), frozenset(derivation.profile.keep_private)
        values += ((tag, element.VR, element_bytes(element, encoding, creators)) for tag, element in parsed)
    floating = any(tag in elements for tag in FLOATING_POINT)
    return tuple(values), source.original_encoding, pixels.shape, pixels.dtype.str, floating


def _form(source: PixelFormat, pixels: Pixels, derivation: Derivation) -> PixelFormat:
    """How the derived pixels are stored: as the source's, but for RGB of a palette, and for a new grid."""
    if pixels.ndim not in (2, 3):
        raise CannotDerive(f"pixels of shape {pixels.shape} are no image")
    form = source
    if pixels.ndim == 3 and source.photometric == "PALETTE COLOR":
        if pixels.dtype.kind != "u" or pixels.dtype.itemsize > 2:
            raise CannotDerive(f"RGB of a palette is of 8 or 16 bits, not {pixels.dtype}")
        bits = pixels.dtype.itemsize * 8
        form = replace(source, samples=3, photometric="RGB", bits_allocated=bits, bits_stored=bits, signed=False)
    elif source.samples == 3:
        form = replace(source, photometric="RGB")
    if not derivation.same_grid:
        form = replace(form, rows=pixels.shape[0], columns=pixels.shape[1])
    return form


def _colour(form: PixelFormat, source: PixelFormat) -> dict[str, Any]:
    """C.7.6.3: what decoding to RGB changed."""
    if form.samples == 1:
        return {}
    new: dict[str, Any] = {"PhotometricInterpretation": "RGB", "PlanarConfiguration": 0}
    if source.samples == 1:
        new |= {
            "SamplesPerPixel": 3,
            "BitsAllocated": form.bits_allocated,
            "BitsStored": form.bits_stored,
            "HighBit": form.bits_stored - 1,
            "PixelRepresentation": 0,
        }
    return new
