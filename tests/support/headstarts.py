"""Head starts under test: what was made ahead, what a job took of it, what goes out."""

from pathlib import Path

import pytest
from support.flowbench import FlowBench

from dicomnode.db.models import Enhancement
from dicomnode.domain.instance import Location
from dicomnode.flow.head_start.made_ahead import AHEAD
from dicomnode.store.reading import read_bytes


def quiet(bench: FlowBench) -> None:
    """What can be made ahead at once; then, when nothing has come for a while, the rest."""
    bench.ahead()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("dicomnode.flow.head_start.arriving._QUIET_SECONDS", 0.0)
        patch.setattr("dicomnode.flow.head_start.arriving._QUIET_GAPS", 0.0)
        bench.ahead()


def finish(bench: FlowBench) -> Enhancement:
    """Its one series completes, and its one job is done."""
    assert bench.complete() == 1
    assert bench.work() == 1
    (row,) = bench.enhancements()
    return row


def sent(bench: FlowBench) -> list[tuple[str, str, bytes]]:
    """What goes to the PACS, in its order."""
    return [
        (one.sop_uid, one.sha256, read_bytes(bench.flow.root, Location(one.container, one.offset, one.length)))
        for one in bench.outputs()
    ]


def head_start(row: Enhancement) -> tuple[int, int, int]:
    """Slices that the job took, computed itself, and threw away."""
    measured = row.measured["head_start"]
    return measured["taken"], measured["computed"], measured["thrown_away"]


def cached(bench: FlowBench) -> list[Path]:
    """Every file that was made ahead."""
    return [path for path in (bench.flow.root / AHEAD).rglob("*") if path.is_file()]
