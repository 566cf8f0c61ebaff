"""Sources and derivations for tests: pydicom's real files, and a derivation with everything in it."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydicom import Dataset, dcmread
from pydicom.data import get_testdata_file

from dicomnode.derive import Derivation, DerivedInstance, derive_instance, plan_series
from dicomnode.domain.recipe import Recipe
from dicomnode.domain.writer_profile import WriterProfile

NOW = datetime(2026, 3, 29, 1, 30, 15, tzinfo=UTC)
TITLE = "AI denoise"


@dataclass(frozen=True)
class CodedConcept:
    """As a pipeline gives it."""

    value: str
    scheme: str
    meaning: str


SMOOTHING = CodedConcept("113087", "DCM", "Smoothing")
LOCAL = CodedConcept("DENOISE", "99DICOMNODE", "Noise reduction by deep learning")


def file_of(name: str) -> Path:
    """A file of pydicom's or of pydicom-data; never downloaded."""
    found = get_testdata_file(name, download=False)
    assert found, f"{name} is not installed"
    return Path(str(found))


def recipe(profile: dict[str, Any] | None = None, **changes: Any) -> Recipe:
    dumped = WriterProfile(**(profile or {})).model_dump(mode="json")
    return replace(Recipe("ct-denoise", "1.2.0", "ab" * 32, {"strength": 0.6}, dumped), **changes)


def derivation_for(source: Dataset, profile: dict[str, Any] | None = None, **changes: Any) -> Derivation:
    made = changes.pop("recipe", None) or recipe(profile)
    series = plan_series(source, made, TITLE, NOW, local=UTC)
    whole = Derivation(made, series, (SMOOTHING, LOCAL), "noise reduction", "DICOMNODE")
    return replace(whole, **changes)


def pixels_of(source: Dataset) -> npt.NDArray[Any]:
    return np.asarray(source.pixel_array)


def derive_again(source: Dataset, profile: dict[str, Any] | None = None, **changes: Any) -> DerivedInstance:
    """The source's own pixels derived anew: what is different then is the writer's doing."""
    pixels = pixels_of(source)
    derivation = derivation_for(source, profile, **changes)
    return derive_instance(source, pixels, derivation, units="stored", source_pixels=pixels)


def parsed(instance: DerivedInstance) -> Dataset:
    return dcmread(BytesIO(instance.file_bytes))
