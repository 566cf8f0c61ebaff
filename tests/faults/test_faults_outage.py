"""A PACS that is away while a hundred series wait: one attempt for each step, growing, and all there soon after."""

import json
import time
from pathlib import Path
from typing import Any

import pytest
from faults.scenario import ask, send_all, site
from support.instances import ct_template
from support.matrix import Form, RecordRow, forms
from support.nodeproc import Node
from support.peers import Orthanc
from support.proxy import RecordingProxy

pytestmark = [pytest.mark.faults, pytest.mark.peers, pytest.mark.timeout(600)]

FIRST, CAP = 1.0, 30.0
"""Seconds: the defaults of the node's back-off."""

TRANSFER_SECONDS = 60.0
"""For the transfers themselves, on a busy machine."""
SPARE_SECONDS = 20.0
"""By which an attempt may be late there."""


@pytest.mark.parametrize("form", forms(8))
def test_a_hundred_series_wait(form: Form, orthanc: Orthanc, tmp_path: Path, record_row: RecordRow) -> None:
    template = ct_template(64)
    files = [file for number in range(form["series"]) for file in template.series(number + 1, form["instances"])]
    with RecordingProxy(orthanc.dicom_port) as proxy:
        document = site(proxy.port, forward=True, enhance=False)
        with Node(tmp_path / "node", site_yaml=document) as node:
            proxy.refuse()
            orthanc.stop()
            send_all(node, files)
            node.wait_until(lambda: waiting(node) == form["series"], 60.0, "all series to wait")
            time.sleep(form["seconds"])
            node.wait_until(lambda: len(steps(node)) >= 3, 60.0, "three attempts")
            told = node.wait_until(lambda: at_rest(node, form["series"]), 60.0, "all to rest")
            assert told["state"] == "down"
            assert "refused" in told["reason"]
            waits = steps(node)
            assert_growing(waits)
            orthanc.start()
            proxy.accept()
            back = time.monotonic()
            failed = len(steps(node))
            step = min(CAP, FIRST * 2**failed)
            node.wait_until(lambda: waiting(node) == 0, step + TRANSFER_SECONDS, "everything to be sent")
            took = time.monotonic() - back
            first = min(store.started_at for store in proxy.stores) - back
            assert len(steps(node)) <= failed + 1, "an attempt after the return, beside one that was under way"
            assert first <= step + SPARE_SECONDS, "within one step of the back-off"
            assert orthanc.instance_count() == len(files) == len(proxy.stores)
            proxy.assert_no_violations()
            assert the_destination(node)["state"] == "up"
    record_row(
        form,
        node=f"{len(waits)} attempts while it was away ({', '.join(f'{wait:.1f}' for wait in waits)} s apart); "
        f"first instance {first:.1f} s, last {took:.1f} s after the return; each once",
    )


def at_rest(node: Node, series: int) -> dict[str, Any] | None:
    """The destination, if no attempt is under way just now."""
    told = the_destination(node)
    return told if told["deliveries"] == {"pending": series} else None


def waiting(node: Node) -> int:
    """Deliveries that are not sent."""
    return int(ask(node, "SELECT count(*) FROM delivery WHERE state IN ('pending', 'sending')")[0][0])


def steps(node: Node) -> list[float]:
    """Seconds that were waited after each attempt that failed, whichever delivery it was for."""
    rows = ask(node, "SELECT detail FROM audit_event WHERE kind = 'delivery.retry' ORDER BY id")
    return [float(json.loads(detail)["seconds"]) for (detail,) in rows]


def assert_growing(waits: list[float]) -> None:
    """As Backoff draws them: half of each is certain, half is drawn, and none is beyond the cap."""
    for number, wait in enumerate(waits):
        ceiling = min(CAP, FIRST * 2**number)
        assert ceiling / 2 - 0.05 <= wait <= ceiling + 0.05, f"wait {number + 1} of {waits}"


def the_destination(node: Node) -> dict[str, Any]:
    """`destinations list` of the only one."""
    (row,) = node.cli("destinations", "list")
    return dict(row)
