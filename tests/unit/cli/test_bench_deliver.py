"""`bench deliver`: what it refuses, what it sends, and that DCMTK's word is checked. With real peers: tests/peers."""

import time
from pathlib import Path

import pytest
from pydicom import dcmread
from typer.testing import CliRunner

from dicomnode.cli import app
from dicomnode.cli.bench.network import goals
from dicomnode.cli.bench.network.instances import Kind
from dicomnode.cli.bench.network.rows import Row, deliver_rows
from dicomnode.cli.bench.network.senders import DcmtkSending
from dicomnode.cli.bench.network.sending import Target
from dicomnode.cli.bench.network.stock import Stock
from dicomnode.cli.common import CommandFailed
from dicomnode.domain.instance import Location
from dicomnode.store.reading import read_bytes


def test_memory_is_refused() -> None:
    ran = CliRunner().invoke(app, ["bench", "deliver", "--dir", "/dev/shm"])
    assert isinstance(ran.exception, CommandFailed)
    assert "memory" in str(ran.exception)


def test_without_a_receiver_nothing_is_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dicomnode.cli.bench.network.dcmtk.version", lambda name: None)
    ran = CliRunner().invoke(app, ["bench", "deliver", "--dir", str(tmp_path)])
    assert isinstance(ran.exception, CommandFailed)
    assert "/usr/bin/storescp" in str(ran.exception)


def test_rows_and_goals_fit() -> None:
    rows = deliver_rows(10, 3, 4)
    assert [(row.key, row.associations) for row in rows] == [("ct-1", 1), ("ct-k", 4), ("mr-1", 1)]
    assert {goal.row for goal in goals.DELIVER} <= {row.key for row in rows}


def test_files_and_store_hold_the_same_instances(tmp_path: Path) -> None:
    kind = Kind.made("MR", 32)
    stock = Stock.of(kind, 3, tmp_path, time.time_ns())
    assert len(stock.files) == len(stock.stored) == 3
    for file, stored in zip(stock.files, stock.stored, strict=True):
        location = Location(stored["container"], stored["offset"], stored["length"])
        assert dcmread(file).SOPInstanceUID == stored["sop_instance"]
        data_set = file.read_bytes()[-len(kind.data_set) :]
        assert read_bytes(stock.store, location).endswith(data_set)


@pytest.mark.parametrize(
    ("program", "words"),
    [
        ("#!/bin/sh\necho it broke >&2\nexit 3\n", "dcmsend ended with status 3: it broke"),
        ('#!/bin/sh\necho "  - with status SUCCESS : 1" > "$2"\n', "dcmsend ended with status 0"),
    ],
)
def test_dcmsend_must_say_that_all_were_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: str, words: str
) -> None:
    """A program in its place that fails, and one that says that one of two was taken."""
    (tmp_path / "dcmsend").write_text(program)
    (tmp_path / "dcmsend").chmod(0o755)
    monkeypatch.setattr("dicomnode.cli.bench.network.dcmtk._FOLDER", tmp_path)
    stock = Stock.of(Kind.made("MR", 16), 2, tmp_path / "stock", time.time_ns())
    with pytest.raises(CommandFailed, match=words):
        DcmtkSending("dcmsend").send(Row("mr-1", "MR", 2), stock, Target("ANY", 1))
