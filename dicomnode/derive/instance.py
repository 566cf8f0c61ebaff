"""One derived instance of one source: everything comes together here."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from pydicom import Dataset

from dicomnode.derive import changes
from dicomnode.derive.derivation import Derivation, DerivedInstance, SourceReference
from dicomnode.derive.elements import Elements, tags_of
from dicomnode.derive.equipment import equipment
from dicomnode.derive.errors import CannotDerive
from dicomnode.derive.gate import check, check_padding
from dicomnode.derive.geometry import resampled
from dicomnode.derive.identification import identification
from dicomnode.derive.lossy import lossy_history
from dicomnode.derive.overlays import stale_overlays
from dicomnode.derive.part10 import TRANSFER_SYNTAX, part10
from dicomnode.derive.pixels import PixelFormat, Pixels, Units, pixel_bytes, stored_pixels
from dicomnode.derive.presentation import presentation
from dicomnode.derive.provenance import derivation_of, references
from dicomnode.derive.readable import require_readable
from dicomnode.derive.secondary_capture import as_secondary_capture, outside_secondary_capture
from dicomnode.derive.sop_classes import SECONDARY_CAPTURE, derived_class
from dicomnode.domain.provenance import is_derived_by_dicomnode
from dicomnode.domain.uid import derived_uid

_SCANNER = tags_of(changes.SCANNER_EQUIPMENT)
_GRID = tags_of(changes.DROPPED_ON_NEW_GRID)
_PALETTE = tags_of(changes.DROPPED_WITH_PALETTE)


def derive_instance(
    source: Dataset,
    pixels: Pixels,
    derivation: Derivation,
    *,
    units: Units,
    source_pixels: Pixels | None = None,
    source_length: int | None = None,
    neighbours: Sequence[SourceReference] = (),
) -> DerivedInstance:
    """The instance that `derivation` makes of `source`: its header, with `pixels` in place of its own.

    `source` is the header as read, with or without pixel data; it is not changed. `pixels` with units "stored" are
    integers as decoded, (H, W) or, as RGB, (H, W, 3); with "physical" they are floats (H, W) after the modality LUT.
    `source_pixels` are the source's stored pixels as decoded: needed where it has padding. `source_length` is the
    length in bytes of its compressed pixel data: needed where it is lossy and its header does not tell the ratio.
    `neighbours` are other images of its series that the pixels were made from.

    Raises CannotDerive for a source that this writer cannot do justice, BrokenInstance if the gate finds a fault.
    """
    require_readable(source)
    if is_derived_by_dicomnode(source):
        raise CannotDerive("the source was derived by a dicomnode")
    sop_class = derived_class(source, secondary_capture=derivation.profile.sop_class == "secondary-capture")
    source_form = PixelFormat.of(source)
    form = _form(source_form, pixels, derivation)
    stored = stored_pixels(source, pixels, form, units, source_pixels)
    check_padding(stored, source, source_pixels, form)

    elements = _header(source, derivation, form, sop_class)
    elements.write(references(source, derivation, neighbours))
    elements.write(lossy_history(source, source_form, source_length))
    elements.write(_colour(form, source_form))
    elements.write(presentation(source, stored, form, sop_class))
    elements.write_pixels("OB" if form.bits_allocated == 8 else "OW", pixel_bytes(stored))

    uid = derived_uid("sop", str(source.SOPInstanceUID), derivation.recipe, generation=derivation.generation)
    file_bytes = part10(sop_class, uid, derivation.ae_title, elements.to_bytes())
    instance = DerivedInstance(uid, sop_class, TRANSFER_SYNTAX, str(source.SOPInstanceUID), file_bytes)
    check(instance, source, derivation, neighbours)
    return instance


def _header(source: Dataset, derivation: Derivation, form: PixelFormat, sop_class: str) -> Elements:
    """What is kept of the source, with identity, equipment, derivation and geometry of the derived instance."""
    elements = Elements(source, derivation.profile.keep_private, _dropped(source, derivation, form, sop_class))
    elements.write(identification(source, derivation, sop_class))
    elements.write(equipment(source, derivation))
    elements.write(derivation_of(source, derivation))
    captured = sop_class == SECONDARY_CAPTURE
    if not derivation.same_grid:
        elements.write(resampled(source, form.rows, form.columns, in_patient=not captured))
    if captured and source.get("SOPClassUID") != SECONDARY_CAPTURE:
        elements.write(as_secondary_capture(source, form))
    return elements


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


def _dropped(source: Dataset, derivation: Derivation, form: PixelFormat, sop_class: str) -> frozenset[int]:
    dropped = stale_overlays(source, same_grid=derivation.same_grid)
    if not derivation.profile.keep_scanner_equipment:
        dropped |= _SCANNER
    if not derivation.same_grid:
        dropped |= _GRID
    if form.samples == 3:
        dropped |= _PALETTE
    if sop_class == SECONDARY_CAPTURE and source.get("SOPClassUID") != SECONDARY_CAPTURE:
        dropped |= outside_secondary_capture(source)
    return dropped


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
