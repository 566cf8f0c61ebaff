"""`bench latency`: what it refuses, what it sends, what it tells. With real peers: tests/peers."""

from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset, dcmread
from typer.testing import CliRunner

from dicomnode.cli import app
from dicomnode.cli.bench.latency_rows import rows
from dicomnode.cli.bench.latency_series import Slices
from dicomnode.cli.bench.latency_telling import markdown
from dicomnode.cli.bench.network.page import parts
from dicomnode.cli.common import CommandFailed

PAGE = Path(__file__).parents[3] / "docs" / "benchmarks.md"


def refused(*words: str) -> str:
    ran = CliRunner().invoke(app, ["bench", "latency", *words])
    assert isinstance(ran.exception, CommandFailed)
    return str(ran.exception)


def test_without_a_pacs_nothing_is_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dicomnode.cli.bench.network.orthanc.version", lambda: None)
    assert "/usr/sbin/Orthanc" in refused("--dir", str(tmp_path))


def test_what_cannot_be_measured_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dicomnode.cli.bench.network.orthanc.version", lambda: "1.10.1")
    assert "there is no way by-hand: the ways are pacs-1" in refused("--ways", "by-hand")
    assert "numbers such as 1,2,4" in refused("--associations", "0")
    assert "memory" in refused("--dir", "/dev/shm")


def test_the_page_has_a_place_for_it() -> None:
    parts(PAGE, "latency")


def test_every_way_has_a_key_of_its_own() -> None:
    found = rows(400, 60, 20.0, (1, 2), 2, slow_router=True)
    assert len({row.key for row in found}) == len(found) == 9
    assert [row.key for row in found if row.once] == ["router-60"]
    assert all(row.slices == (60 if row.pipeline == "ct-denoise" else 400) for row in found)
    assert not [row for row in rows(400, 0, 0.0, (1,), 2, slow_router=False) if row.slices != 400]


def parsed(data_set: bytes) -> Dataset:
    return dcmread(BytesIO(data_set), force=True)


def test_a_series_says_how_long_it_is() -> None:
    slices = Slices.made(12, 16, "passthrough")
    for count, some in ((12, slices), (3, slices.first(3))):
        headers = [parsed(each) for each in some.data_sets]
        assert [header.InstanceNumber for header in headers] == list(range(1, count + 1))
        assert {header.ImagesInAcquisition for header in headers} == {count}
        assert len({tuple(header.ImagePositionPatient) for header in headers}) == count
        assert {header.SeriesDescription for header in headers} == {"passthrough"}


def test_medians_are_told() -> None:
    run = {"first": 2.5, "indexed": 0.1, "complete": 1.1, "claimed": 1.2, "committed": 1.4, "sent": 0.8, "cpu_s": 3.0}
    document: dict[str, Any] = {
        "machine": {"cores": 2, "processor": "p", "memory_gib": 8, "system": "s", "python": "3", "load_average": 0},
        **{"versions": {}, "file_system": "ext4", "in_memory": False, "size": 512, "grace_seconds": 1.0, "repeats": 3},
        "rows": [{"key": "a", "title": "the way", "peer": "node", "slices": 400}],
        "runs": [{**run, "row": "a", "last": last} for last in (2.8, 2.6, 3.3)],
        "goals": [{"title": "the way", "bound": 3.0, "found": 2.8, "reached": True}],
    }
    told = markdown(document)
    assert "| the way | 400 | 0.80 (0.80 to 0.80) | 2.80 (2.60 to 3.30) | 3.00 |" in told
    assert "| the way | 0 | 0.10 | 1.10 | 1.20 | 1.40 | 2.50 | 2.80 |" in told
    assert "| the way | <= 3 s | 2.80 s | reached |" in told
