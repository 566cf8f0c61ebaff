"""Pipelines that crash, hang, raise or eat memory: contained, set aside with a plain reason, all else goes on."""

from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
from faults.scenario import ask, instances, send_all
from support.nodeproc import Node
from support.peers import Orthanc
from support.proxy import RecordingProxy
from support.series import make_ct_series

pytestmark = [pytest.mark.faults, pytest.mark.peers]

COUNT = 3
ATTEMPTS = 2
POISON = {
    "segfault": "import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)",
    "hang": "import time\ntime.sleep(3600)",
    "raise": 'raise RuntimeError("the network is upside down")',
    "memory": "import torch\nreturn slices.repeat(1 << 40, 1, 1, 1)",
}
REASONS = {
    "segfault": f"set aside after {ATTEMPTS} attempts: the worker was killed by SIGSEGV",
    "hang": f"set aside after {ATTEMPTS} attempts: {{worker}} stopped renewing its lease",
    "raise": "pipeline poison-raise failed: RuntimeError: the network is upside down",
    "memory": f"set aside after {ATTEMPTS} attempts: "
    "one slice of pipeline poison-memory does not fit into the memory of cpu",
}


def write_pipeline(node: Node, kind: str, body: str) -> None:
    """An administrator's own pipeline, `poison-<kind>`, whose `enhance` is `body`."""
    folder = node.root / "pipelines"
    folder.mkdir(exist_ok=True)
    head = dedent(
        f"""\
        from dicomnode.enhance.api import Acceptance, Pipeline

        class Poison(Pipeline):
            name, version, units = "poison-{kind}", "1.0.0", "stored"

            def accepts(self, series):
                return Acceptance.yes()

            def enhance(self, slices, params):
        """
    )
    (folder / f"{kind}.py").write_text(head + "".join(f"        {line}\n" for line in body.splitlines()))


def rules(port: int) -> str:
    """The pipeline that a series gets is named in its description; every original goes on to the PACS."""
    text = f"destinations:\n  - {{name: pacs, kind: dimse, ae_title: ORTHANC, host: 127.0.0.1, port: {port}}}\nrules:\n"
    for name in (*(f"poison-{kind}" for kind in POISON), "passthrough"):
        text += (
            f"  - name: {name}\n    state: live\n"
            f"    when: {{all: [{{attribute: SeriesDescription, equals: {name}}}]}}\n"
            f"    enhance: {{pipeline: {name}}}\n    deliver_to: [pacs]\n    forward_original_to: [pacs]\n"
        )
    return text


def send_series(node: Node, folder: Path, number: int, pipeline: str) -> None:
    files = make_ct_series(
        folder, COUNT, rows=64, seed=number, description=pipeline, series_number=number, images_in_acquisition=True
    )
    send_all(node, instances(files))


def job(node: Node, pipeline: str) -> dict[str, Any]:
    """Its one row of the ledger."""
    columns = ("id", "state", "reason", "attempt", "failures")
    (row,) = ask(node, f"SELECT {', '.join(columns)} FROM enhancement WHERE pipeline = ?", pipeline)
    return dict(zip(columns, row, strict=True))


def state(node: Node, pipeline: str) -> str:
    rows = ask(node, "SELECT state FROM enhancement WHERE pipeline = ?", pipeline)
    return str(rows[0][0]) if rows else ""


def all_over(node: Node) -> bool:
    """Whether every job is done or set aside: they stand in line for one worker, which has to be killed four times."""
    pipelines = (*(f"poison-{kind}" for kind in POISON), "passthrough")
    return all(state(node, pipeline) in ("done", "failed") for pipeline in pipelines)


def wait_for(node: Node, pipeline: str, wanted: str) -> None:
    node.wait_until(lambda: state(node, pipeline) == wanted, 240.0, f"{pipeline} to be {wanted}")


@pytest.mark.timeout(900)
def test_poison_is_set_aside_and_everything_else_goes_on(tmp_path: Path, orthanc: Orthanc) -> None:
    """One worker for all: what is poison, comes first; what is good, comes last and is done all the same."""
    with RecordingProxy(orthanc.dicom_port) as proxy:
        node = Node(
            tmp_path / "node",
            node={"name": "here"},
            site_yaml=rules(proxy.port),
            engine={"devices": ["cpu"], "max_attempts": ATTEMPTS, "retry_seconds": 0.2, "lease_seconds": 6.0,
                    "max_seconds": 2.0},
        )  # fmt: skip
        for kind, body in POISON.items():
            write_pipeline(node, kind, body)
        with node:
            serve = node.pid
            for number, kind in enumerate(POISON):
                send_series(node, tmp_path / kind, number, f"poison-{kind}")
            send_series(node, tmp_path / "good", 9, "passthrough")
            originals = COUNT * (len(POISON) + 1)
            node.wait_until(lambda: orthanc.instance_count() >= originals, 60.0, "the originals at the PACS")
            assert not all_over(node), "the originals waited for an enhancement"
            for kind in POISON:
                wait_for(node, f"poison-{kind}", "failed")
            node.wait_until(lambda: orthanc.instance_count() == originals + COUNT, 240.0, "the good series derived")
            assert node.pid == serve
            assert_reasons(node)
            mend_and_retry(node)
            node.wait_until(
                lambda: orthanc.instance_count() == originals + 3 * COUNT, 180.0, "the mended pipelines' series"
            )
            proxy.assert_no_violations()


def assert_reasons(node: Node) -> None:
    """`jobs list` says of each, in plain words, why it was set aside."""
    listed = {row["pipeline"]: row for row in node.cli("jobs", "list")}
    assert listed["passthrough"]["state"] == "done"
    for kind, reason in REASONS.items():
        row = listed[f"poison-{kind}"]
        assert (row["state"], row["reason"]) == ("failed", reason.format(worker="here/cpu/0"))


def mend_and_retry(node: Node) -> None:
    """The administrator repairs two files, bumps nothing, restarts nothing, and asks for another try."""
    for kind in ("segfault", "raise"):
        write_pipeline(node, kind, "return slices[:, 0]")
        node.cli("jobs", "retry", str(job(node, f"poison-{kind}")["id"]))
        wait_for(node, f"poison-{kind}", "done")
