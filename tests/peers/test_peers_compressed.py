"""Compressed series: stored as they came, derived from what they decode to, and through a network as well."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.pixels.utils import pixel_array
from pydicom.uid import JPEG2000Lossless, JPEGLSLossless, RLELossless
from support.derivations import file_of
from support.mainflow import (
    ANNOUNCED,
    IS_ANYTHING,
    add_pipeline,
    derived_of,
    destination,
    enhancing,
    send_as_is,
    series_uid,
    site,
    wait_sent,
)
from support.nodeproc import Node
from support.peers import Orthanc
from support.rawfiles import raw_file
from support.series import make_ct_series, make_mr_series, noise_sd

pytestmark = pytest.mark.peers

RECEIVED = {
    "1.2.840.10008.1.2.4.70": "JPGLosslessP14SV1_1s_1f_8b.dcm",
    "1.2.840.10008.1.2.4.80": "MR_small_jpeg_ls_lossless.dcm",
    "1.2.840.10008.1.2.4.90": "US1_J2KR.dcm",
    "1.2.840.10008.1.2.4.91": "693_J2KI.dcm",
    "1.2.840.10008.1.2.5": "OBXXXX1A_rle.dcm",
    "1.2.840.10008.1.2.4.50": "SC_rgb_small_odd_jpeg.dcm",
}
"""Files by their transfer syntax: JPEG lossless, JPEG-LS, JPEG 2000 lossless and lossy, RLE, JPEG baseline."""

MADE = {
    "ct-denoise": (make_ct_series, JPEGLSLossless),
    "soften-mr": (make_mr_series, JPEG2000Lossless),
    "soften-ct": (make_ct_series, RLELossless),
}
"""Series that go through a network, by the description that their rule asks for."""
SLICES = 4
SINGLE = "SINGLE"
"""Who sends series of one instance, which announce nothing."""


@dataclass
class House:
    node: Node
    orthanc: Orthanc
    received: dict[str, Path]
    made: dict[str, list[Path]]


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """All the series went through."""
    root = tmp_path_factory.mktemp("compressed")
    received = {syntax: file_of(name) for syntax, name in RECEIVED.items()}
    made = {name: compressed_series(root, name) for name in MADE}
    with Orthanc(root / "orthanc") as orthanc:
        rules = [enhancing(name.split("-mr")[0].split("-ct")[0], when=described(name), name=name) for name in MADE]
        no_network = {"all": [IS_ANYTHING, *({"not": described(name)} for name in MADE)]}
        rules.append(enhancing("passthrough", when=no_network))
        pacs = destination("pacs", orthanc.ae_title, orthanc.dicom_port)
        completion = {**ANNOUNCED, "per_sender": {SINGLE: 1.0}}
        node = Node(root / "node", site_yaml=site([pacs], rules), completion=completion)
        add_pipeline(node)
        with node:
            send_as_is(node, received.values(), SINGLE)
            for files in made.values():
                send_as_is(node, files)
            wait_sent(node, len(received) + len(made))
            yield House(node, orthanc, received, made)


def described(name: str) -> dict[str, str]:
    return {"attribute": "SeriesDescription", "equals": name}


def compressed_series(root: Path, name: str) -> list[Path]:
    make, syntax = MADE[name]
    files = make(root / name, SLICES, rows=512, seed=len(name), description=name)
    for file in files:
        dataset = dcmread(file)
        dataset.ImagesInAcquisition = SLICES
        dataset.compress(syntax, generate_instance_uid=False)
        dataset.save_as(file)
    return files


@pytest.mark.parametrize("syntax", RECEIVED)
def test_stored_as_received_and_derived_from_what_it_decodes_to(house: House, syntax: str, tmp_path: Path) -> None:
    source = house.received[syntax]
    assert raw_file(source).transfer_syntax == syntax
    house.node.cli("series", "export", series_uid(source), "--out", str(tmp_path / "export"))
    (exported,) = (tmp_path / "export").iterdir()
    assert raw_file(exported).transfer_syntax == syntax
    assert raw_file(exported).data_set == raw_file(source).data_set
    (made,) = derived_of(house.orthanc, [source], tmp_path / "derived")
    assert np.array_equal(pixel_array(made), pixel_array(source))


@pytest.mark.parametrize("name", MADE)
def test_compressed_through_a_network(house: House, name: str, tmp_path: Path) -> None:
    sources = house.made[name]
    assert {raw_file(file).transfer_syntax for file in sources} == {MADE[name][1]}
    made = derived_of(house.orthanc, sources, tmp_path)
    for source, result in zip(map(dcmread, sources), map(dcmread, made), strict=True):
        assert not result.file_meta.TransferSyntaxUID.is_compressed
        assert result.SourceImageSequence[0].ReferencedSOPInstanceUID == source.SOPInstanceUID
        assert noise_sd(result) < 0.8 * noise_sd(source)
        if name != "ct-denoise":
            assert np.abs(result.pixel_array - softened(source.pixel_array)).max() <= 0.5 + 1e-3


def softened(image: np.ndarray) -> np.ndarray:
    """The binomial 3 x 3 filter of the pipeline `soften`, in plain numpy."""
    padded = np.pad(image.astype(np.float64), 1, mode="edge")
    rows = padded[:-2] / 4 + padded[1:-1] / 2 + padded[2:] / 4
    return rows[:, :-2] / 4 + rows[:, 1:-1] / 2 + rows[:, 2:] / 4
