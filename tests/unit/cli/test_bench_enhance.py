"""`bench enhance`: what it measures, on what, and that it touches nothing of the node."""

import json
from pathlib import Path

import pytest
from pydicom.uid import ExplicitVRLittleEndian, JPEGLSLossless
from support.series import make_ct_series
from typer.testing import CliRunner

from dicomnode.cli import app
from dicomnode.cli.bench.phantom import ct_series
from dicomnode.cli.bench.series import made, read
from dicomnode.cli.bench.timing import Speed, Timing, timed
from dicomnode.cli.common import CommandFailed
from dicomnode.complete.facts import combine, instance_facts
from dicomnode.enhance.registry import Registry

STAGES = {"bare network", "pipeline in memory", "store to derived"}


@pytest.fixture
def outside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for temporary files, and settings of a node whose own folders are not there."""
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    monkeypatch.setenv("DICOMNODE_STORE__ROOT", str(tmp_path / "store"))
    monkeypatch.setenv("DICOMNODE_DATABASE__URL", f"sqlite:///{tmp_path}/node.db")
    return tmp_path


@pytest.mark.torch
@pytest.mark.parametrize("stored", ["native", "jpeg-ls"])
def test_three_speeds_and_their_ratios(outside: Path, stored: str) -> None:
    options = "--pipeline passthrough --slices 4 --size 64 --repeats 2 --device cpu --json"
    ran = CliRunner().invoke(app, ["bench", "enhance", *options.split(), "--stored", stored])
    assert ran.exit_code == 0, ran.output
    document = json.loads(ran.stdout)
    assert {row["stage"] for row in document["stages"]} == STAGES
    assert all(row["slowest"] <= row["slices_per_second"] <= row["fastest"] for row in document["stages"])
    assert {row["batch"] for row in document["bare"]["table"]} == {1, 2, 4, 8}
    fastest = max(row["slices_per_second"] for row in document["bare"]["table"])
    assert document["bare"]["best"]["slices_per_second"] == fastest
    assert document["series"] == {
        "slices": 4,
        "rows": 64,
        "columns": 64,
        "transfer_syntax": str(ExplicitVRLittleEndian if stored == "native" else JPEGLSLossless),
        "verdict": "pass",
    }
    assert document["machine"]["device"] == "cpu"
    assert document["ratios"]["store_to_derived_of_bare"] > 0
    assert document["ratios"]["pipeline_of_bare"] > 0
    assert sorted(path.name for path in outside.rglob("*")) == ["temporary"], "nothing is left, and no node was touched"


@pytest.mark.torch
def test_a_table_for_people(outside: Path) -> None:
    options = "--pipeline passthrough --slices 4 --size 64 --repeats 1 --device cpu"
    ran = CliRunner().invoke(app, ["bench", "enhance", *options.split()])
    assert ran.exit_code == 0, ran.output
    assert all(name in ran.stdout for name in STAGES)
    assert "of the bare network run the same way" in ran.stdout


def test_a_made_series_is_one_that_ct_denoise_takes() -> None:
    """And new each time it is taken: no node would compute it again."""
    series = made(5, 64, ExplicitVRLittleEndian)
    first, second = series(None), series(3)
    assert (len(first), len(second)) == (5, 3)
    uids = [str(dataset[name].value) for dataset in (*first, *second) for name in ("SOPInstanceUID",)]
    assert len(set(uids)) == 8
    assert {str(d.SeriesInstanceUID) for d in first}.isdisjoint(str(d.SeriesInstanceUID) for d in second)
    assert [bytes(d.PixelData) for d in first[:3]] == [bytes(d.PixelData) for d in second]
    entry = Registry.load().usable("ct-denoise")
    assert entry.accepts(combine(instance_facts(dataset) for dataset in first)).accepted


def test_noise_of_a_made_slice() -> None:
    (dataset,) = ct_series(1, 256)
    tissue = dataset.pixel_array[179:199, 77:102].astype(float) - 1024
    assert tissue.mean() == pytest.approx(40, abs=8)
    assert tissue.std() == pytest.approx(25, rel=0.2)


def test_the_largest_series_of_a_folder_in_its_order(tmp_path: Path) -> None:
    make_ct_series(tmp_path / "small", 2, rows=32, series_number=3)
    make_ct_series(tmp_path / "large", 6, rows=32)
    (tmp_path / "notes.txt").write_text("no image")
    series = read(tmp_path, 4)(None)
    assert [dataset.InstanceNumber for dataset in series] == [1, 2, 3, 4]
    assert {dataset.file_meta.MediaStorageSOPInstanceUID for dataset in series} == {d.SOPInstanceUID for d in series}


def test_a_folder_without_images_is_refused_plainly(tmp_path: Path) -> None:
    with pytest.raises(CommandFailed, match="there are no DICOM files in"):
        read(tmp_path, 4)


def test_what_the_pipeline_declines_is_told(outside: Path) -> None:
    """Slices outside the envelope are not computed: there is no speed to tell."""
    folder = outside / "files"
    for file in make_ct_series(folder, 4, rows=32):
        assert file.exists()
    ran = CliRunner().invoke(app, ["bench", "enhance", "--data", str(folder), "--repeats", "1", "--device", "cpu"])
    assert isinstance(ran.exception, CommandFailed)
    assert "PixelSpacing" in str(ran.exception)


def test_a_speed_is_the_median_of_its_repeats() -> None:
    speed = Speed.of([Timing(10, 1.0, 2.0), Timing(10, 5.0, 3.0), Timing(10, 2.0, 2.5)])
    assert (speed.slices_per_second, speed.slowest, speed.fastest, speed.cpu_ms_per_slice) == (5.0, 2.0, 10.0, 250.0)


def test_what_ends_a_child_is_off_the_clock() -> None:
    order: list[str] = []
    timing = timed(3, lambda: order.append("work"), after=lambda: order.append("after"))
    assert order == ["work", "after"]
    assert timing.slices == 3
    assert timing.wall >= 0 <= timing.cpu
