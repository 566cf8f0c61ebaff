"""Pipelines written into temporary folders, and small series of real headers around made-up pixels."""

import hashlib
import textwrap
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import Dataset, dcmread
from pydicom.data import get_testdata_file

from dicomnode.complete.facts import combine, instance_facts
from dicomnode.domain.facts import SeriesFacts
from dicomnode.enhance.images import SourceImage

WritePipeline = Callable[..., Path]
MakeSources = Callable[..., list[SourceImage]]

_HEAD = "from dicomnode.enhance.api import *\nfrom dicomnode.enhance.api import Pipeline\n"


@pytest.fixture
def write_pipeline(tmp_path: Path) -> WritePipeline:
    """Write `body`, the inside of a Pipeline class, into a file of a temporary folder; returns the folder."""
    folder = tmp_path / "site"
    (folder / "weights").mkdir(parents=True)

    def write(body: str, *, name: str = "tiny", file: str | None = None) -> Path:
        inside = textwrap.indent(textwrap.dedent(body).strip("\n"), "    ")
        common = (
            f'    name, version = "{name}", "1.0"\n    def accepts(self, series):\n        return Acceptance.yes()\n'
        )
        path = folder / (file or f"{name.replace('-', '_')}.py")
        path.write_text(f"{_HEAD}\n\nclass Tiny(Pipeline):\n{common}\n{inside}\n", encoding="utf-8")
        return folder

    return write


@pytest.fixture
def make_sources() -> MakeSources:
    """Slices of a volume (N, H, W) as source images: headers of a real CT slice, placed 2 mm apart, in order."""
    path = get_testdata_file("CT_small.dcm", download=False)

    def make(volume: NDArray[Any], **elements: Any) -> list[SourceImage]:
        sources = []
        for index, pixels in enumerate(volume):
            header = dcmread(path, stop_before_pixels=True)
            header.Rows, header.Columns = pixels.shape[:2]
            header.SamplesPerPixel = 3 if pixels.ndim == 3 else 1
            header.BitsAllocated = pixels.dtype.itemsize * 8
            header.PixelRepresentation = int(pixels.dtype.kind == "i")
            header.RescaleSlope, header.RescaleIntercept = 1, 0
            header.SOPInstanceUID = f"1.2.3.{index + 1}"
            header.InstanceNumber = index + 1
            header.ImagePositionPatient = [0, 0, 2.0 * index]
            for keyword, value in elements.items():
                setattr(header, keyword, value)
            sources.append(SourceImage(str(header.SOPInstanceUID), header, lambda pixels=pixels: pixels))
        return sources

    return make


@pytest.fixture
def facts_of() -> Callable[[Sequence[SourceImage]], SeriesFacts]:
    return lambda sources: combine(instance_facts(source.header) for source in sources)


@pytest.fixture
def ct_volume() -> NDArray[np.int16]:
    """Nine slices of 40 x 48 with noise of 30 HU around two levels."""
    rng = np.random.default_rng(7)
    volume = rng.normal(40, 30, (9, 40, 48))
    volume[:, 10:20, 10:30] += 120
    return volume.astype(np.int16)


def card_text(weights: Path, *, name: str = "tiny", **golden: Any) -> str:
    """A complete card for a file of weights."""
    sha256 = hashlib.sha256(weights.read_bytes()).hexdigest() if weights.exists() else "0" * 64
    rows: Mapping[str, Mapping[str, Any]] = {
        "model": {
            "name": name,
            "version": "1.0",
            "title": "tiny",
            "intended_use": "tests",
            "not_for": "patients",
            "licence": "Apache-2.0",
        },
        "weights": {"file": weights.name, "sha256": sha256, "parameters": 9},
        **({"golden": golden} if golden else {}),
    }
    text = 'limits = ["Tests only."]\n'
    for table, values in rows.items():
        text += f"\n[{table}]\n" + "".join(f"{key} = {_toml(value)}\n" for key, value in values.items())
    data = dict.fromkeys(("name", "package", "version", "file", "licence", "role"), "x") | {"sha256": "0" * 64}
    return text + "\n[[training_data]]\n" + "".join(f"{key} = {_toml(value)}\n" for key, value in data.items())


def _toml(value: Any) -> str:
    if isinstance(value, str):
        return f'"{value}"'
    return str(list(value)) if isinstance(value, list | tuple) else repr(value)


@pytest.fixture
def write_card() -> Callable[..., Path]:
    """Write the card of a file of weights beside it."""

    def write(weights: Path, **options: Any) -> Path:
        card = weights.with_suffix(".toml")
        card.write_text(card_text(weights, **options), encoding="utf-8")
        return card

    return write


@pytest.fixture
def header_facts() -> Callable[[Dataset], SeriesFacts]:
    return instance_facts
