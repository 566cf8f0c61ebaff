"""`bench receive` and `bench deliver` as a whole, small, on a disk, with the real peers that they measure."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from support.peers import dcmtk, require_orthanc

from dicomnode.cli.bench.network.disk import file_system, in_memory

pytestmark = pytest.mark.peers

REPOSITORY = Path(__file__).resolve().parents[2]
ROWS = {"ct-1": 8, "ct-k": 8, "mr-1": 10, "mr-k": 20, "dx-1": 2, "nagle": 3, "each": 4, "series": 12}
SMALL = ["--ct=8", "--mr=10", "--dx=2", "--nagle=3", "--opens=4", "--series=12", "--ct-size=128", "--dx-size=256"]


def bench(folder: Path, *words: str) -> "subprocess.Popen[str]":
    """The command in a process of its own, as anyone runs it."""
    assert not in_memory(file_system(folder)), "these tests measure a disk: give pytest a --basetemp on one"
    command = [sys.executable, "-m", "dicomnode", "bench", *words, "--dir", str(folder)]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=folder, env=environment, stdout=pipe, stderr=pipe, text=True)


def told(folder: Path, *words: str) -> dict[str, Any]:
    process = bench(folder, *words, "--json")
    stdout, stderr = process.communicate(timeout=170)
    assert process.returncode == 0, stderr
    assert list(folder.iterdir()) == [], "everything that was made is removed"
    assert_none_running(folder)
    return dict(json.loads(stdout))


def assert_none_running(folder: Path) -> None:
    """What was killed is gone when the machine comes to it; what was not stays."""
    deadline = time.monotonic() + 30
    while left := running(folder):
        assert time.monotonic() < deadline, left
        time.sleep(0.05)


def running(folder: Path) -> list[str]:
    """Command lines of the processes that have the folder among their arguments."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if str(folder) in command and int(entry.name) != os.getpid():
            found.append(command)
    return found


def check_figures(document: Mapping[str, Any]) -> None:
    """Medians and ratios are those of the runs that are told."""
    assert document["machine"]["cores"] >= 1
    for each in document["figures"]:
        runs = [run for run in document["runs"] if (run["row"], run["peer"]) == (each["row"], each["peer"])]
        rates = sorted(run["per_second"] for run in runs)
        spread = each["per_second"]
        assert (spread["lowest"], spread["highest"]) == (rates[0], rates[-1])
        assert spread["lowest"] <= spread["median"] <= spread["highest"]
        assert all(run["seconds"] > 0 and run["cpu_s"] >= 0 for run in runs)
    for each in document["ratios"]:
        assert each["ratio"]["lowest"] <= each["ratio"]["median"] <= each["ratio"]["highest"]


def test_receive_measures_every_row_and_counts_what_was_stored(tmp_path: Path) -> None:
    require_orthanc()
    dcmtk("storescp")
    document = told(tmp_path, "receive", *SMALL, "--parallel=3", "--repeats=1")
    check_figures(document)
    assert document["bench"] == "receive"
    assert document["file_system"] == file_system(tmp_path)
    assert document["in_memory"] is False
    assert document["absent"] == []
    assert set(document["versions"]) == {"dicomnode", "DCMTK", "Orthanc"}
    assert {row["key"]: row["instances"] for row in document["rows"]} == ROWS
    peers = {"storescp", "storescp+B", "orthanc", "receiving", "node"}
    measured = {(run["row"], run["peer"]) for run in document["runs"]}
    left_out = {("series", peer) for peer in ("storescp", "storescp+B", "orthanc")} | {("nagle", "storescp+B")}
    as_it_comes = {("nagle", "orthanc-as-it-comes")}
    assert measured == {(row, peer) for row in ROWS for peer in peers} - left_out | as_it_comes
    assert all(run["stored"] == run["instances"] == ROWS[run["row"]] for run in document["runs"])
    assert all(run["receiver_mib"] > 1 and run["largest_mib"] >= run["receiver_mib"] for run in document["runs"])
    assert {(goal["row"], goal["to"]) for goal in document["goals"]} >= {("ct-1", "storescp+B"), ("series", None)}


@pytest.mark.long
def test_rounds_begin_with_another_one_and_a_long_series_is_sent_once(tmp_path: Path) -> None:
    dcmtk("storescp")
    peers = ["storescp", "storescp+B", "discarding", "receiving"]
    few = ["--ct=4", "--mr=0", "--dx=0", "--nagle=0", "--opens=0", "--series=5", "--ct-size=64", "--parallel=2"]
    document = told(tmp_path, "receive", *few, "--repeats=2", f"--peers={','.join(peers)}")
    check_figures(document)
    runs = [(run["round"], run["row"], run["peer"]) for run in document["runs"]]
    first = [(0, row, peer) for row in ("ct-1", "ct-k") for peer in peers]
    second = [(1, row, peer) for row in ("ct-1", "ct-k") for peer in (*peers[1:], peers[0])]
    assert runs == [*first, (0, "series", "receiving"), *second]
    stored = {run["peer"]: run["stored"] for run in document["runs"] if run["row"] == "ct-1"}
    assert stored == {"storescp": 4, "storescp+B": 4, "receiving": 4, "discarding": None}


@pytest.mark.long
def test_deliver_measures_the_node_and_dcmtk(tmp_path: Path) -> None:
    for tool in ("storescp", "dcmsend", "storescu"):
        dcmtk(tool)
    document = told(tmp_path, "deliver", "--ct=6", "--mr=9", "--ct-size=64", "--repeats=2", "--parallel=3")
    check_figures(document)
    assert {row["key"]: row["instances"] for row in document["rows"]} == {"ct-1": 6, "ct-k": 6, "mr-1": 9, "mr-k": 9}
    measured = {(run["round"], run["row"], run["peer"]) for run in document["runs"]}
    senders = ("node", "dcmsend", "storescu")
    assert measured == {(n, r["key"], s) for n in (0, 1) for r in document["rows"] for s in senders}
    assert {(goal["row"], goal["to"], goal["peer"]) for goal in document["goals"]} == {
        ("ct-1", "dcmsend", "node"),
        ("mr-1", "dcmsend", "node"),
    }


def test_latency_measures_a_router_and_the_node(tmp_path: Path) -> None:
    require_orthanc()
    ways = ["pacs-2", "router-1", "passthrough-node-head-start"]
    small = ["--slices=8", "--denoise=0", "--ct-size=64", "--repeats=1"]
    document = told(tmp_path, "latency", *small, f"--ways={','.join(ways)}")
    runs = {run["row"]: run for run in document["runs"]}
    assert list(runs) == ways
    node = runs["passthrough-node-head-start"]
    reached = [node[stage] for stage in ("complete", "claimed", "committed", "first", "last")]
    assert reached == sorted(reached)
    # It counts from the last arrival, which is between the first byte and the moment when the sender has its answer.
    assert node["complete"] + node["sent"] >= document["grace_seconds"]
    assert [goal["found"] for goal in document["goals"]] == [node["last"]]


def test_tables_for_a_page(tmp_path: Path) -> None:
    process = bench(tmp_path, "deliver", "--ct=2", "--mr=0", "--ct-size=32", "--repeats=1", "--markdown")
    stdout, stderr = process.communicate(timeout=120)
    assert "| CT, 1 association | dicomnode |" in stdout, stderr
    assert "**What is to be reached**" in stdout
    assert str(tmp_path) not in stdout


def test_cut_short_it_leaves_nothing_behind(tmp_path: Path) -> None:
    """Peers that sleep while another one is measured must be ended too."""
    dcmtk("storescp")
    nothing = ["--ct=0", "--mr=0", "--dx=0", "--opens=0", "--series=0"]
    process = bench(tmp_path, "receive", "--peers=storescp,receiving", "--nagle=500", *nothing)
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob("*/nagle-*")):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert running(tmp_path) != []
    process.send_signal(signal.SIGTERM)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "interrupted; all that it had started is stopped" in stderr
    assert list(tmp_path.iterdir()) == []
    assert_none_running(tmp_path)
