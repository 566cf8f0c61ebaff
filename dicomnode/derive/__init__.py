"""Derived instances: UIDs, references, provenance, geometry, pixels; and the gate that each must pass.

    series = plan_series(first_header, recipe, "AI denoise", now)
    derivation = Derivation(recipe, series, codes, "noise reduction by deep learning", ae_title)
    instance = derive_instance(header, pixels, derivation, units="physical", source_pixels=stored, source_length=n)

The bytes are a function of (source, pixels, derivation) alone. `changes` tells for each attribute what becomes of it.
"""

from dicomnode.derive.derivation import Coded, Derivation, DerivedInstance, SourceReference
from dicomnode.derive.errors import BrokenInstance, CannotDerive
from dicomnode.derive.instance import derive_instance
from dicomnode.derive.pixels import Units
from dicomnode.derive.series import DerivedSeries, plan_series

__all__ = [
    "BrokenInstance",
    "CannotDerive",
    "Coded",
    "Derivation",
    "DerivedInstance",
    "DerivedSeries",
    "SourceReference",
    "Units",
    "derive_instance",
    "plan_series",
]
