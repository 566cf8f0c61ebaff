"""One derived instance of one source: everything comes together here."""

from collections.abc import Sequence
from typing import Any

from pydicom import Dataset

from dicomnode.derive import changes
from dicomnode.derive.derivation import Derivation, DerivedInstance, SourceReference
from dicomnode.derive.elements import Elements
from dicomnode.derive.encode import kept_elements
from dicomnode.derive.gate import check, check_padding
from dicomnode.derive.geometry import resampled
from dicomnode.derive.identification import instance_uid
from dicomnode.derive.lossy import lossy_history
from dicomnode.derive.overlays import stale_overlays
from dicomnode.derive.part10 import TRANSFER_SYNTAX, part10
from dicomnode.derive.pixels import Pixels, Units, pixel_bytes, stored_pixels
from dicomnode.derive.presentation import presentation
from dicomnode.derive.provenance import references
from dicomnode.derive.secondary_capture import as_secondary_capture, outside_secondary_capture
from dicomnode.derive.sop_classes import SECONDARY_CAPTURE
from dicomnode.derive.tags import tags_of
from dicomnode.derive.template import Template, template_of

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
    kept = dict(kept_elements(source, frozenset(derivation.profile.keep_private)))
    template = template_of(source, pixels, derivation)
    uid, form = instance_uid(source, derivation), template.form
    stored = stored_pixels(source, pixels, form, units, source_pixels)
    check_padding(stored, source, source_pixels, form)

    elements = Elements(template.encoding, derivation.profile.keep_private)
    elements.keep(kept, _dropped(source, derivation, template))
    elements.take(template.written)
    elements.write({"SOPInstanceUID": uid, **_geometry(source, derivation, template)})
    elements.write(references(source, derivation, neighbours))
    elements.write(lossy_history(source, template.source_form, source_length))
    elements.write(presentation(source, stored, form, template.sop_class))
    elements.write_pixels("OB" if form.bits_allocated == 8 else "OW", pixel_bytes(stored))

    file_bytes = part10(template.sop_class, uid, derivation.ae_title, elements.to_bytes())
    instance = DerivedInstance(uid, template.sop_class, TRANSFER_SYNTAX, str(source.SOPInstanceUID), file_bytes)
    check(instance, source, derivation, neighbours)
    return instance


def _geometry(source: Dataset, derivation: Derivation, template: Template) -> dict[str, Any]:
    """Where the image lies, on a new grid, or in a class that has no place for a position."""
    new: dict[str, Any] = {}
    if not derivation.same_grid:
        in_patient = template.sop_class != SECONDARY_CAPTURE
        new |= resampled(source, template.form.rows, template.form.columns, in_patient=in_patient)
    if _becomes_capture(source, template):
        new |= as_secondary_capture(source, template.form)
    return new


def _dropped(source: Dataset, derivation: Derivation, template: Template) -> frozenset[int]:
    dropped = stale_overlays(source, same_grid=derivation.same_grid)
    if not derivation.profile.keep_scanner_equipment:
        dropped |= _SCANNER
    if not derivation.same_grid:
        dropped |= _GRID
    if template.form.samples == 3:
        dropped |= _PALETTE
    if _becomes_capture(source, template):
        dropped |= outside_secondary_capture(source)
    return dropped


def _becomes_capture(source: Dataset, template: Template) -> bool:
    return template.sop_class == SECONDARY_CAPTURE and str(source.get("SOPClassUID")) != SECONDARY_CAPTURE
