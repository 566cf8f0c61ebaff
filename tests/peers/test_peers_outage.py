"""A PACS that is away, with the default back-off: the list tells the truth, and all arrives soon after its return."""

import time
from pathlib import Path

import pytest
from support.mainflow import destination, enhancing, send, site, wait_sent
from support.nodeproc import Node
from support.peers import Orthanc
from support.proxy import RecordingProxy
from support.series import make_ct_series

pytestmark = pytest.mark.peers

SLICES = 6
WITHIN_SECONDS = 60.0
"""Of the PACS's return."""

LENGTHS = [15.0, pytest.param(120.0, marks=[pytest.mark.long, pytest.mark.timeout(400)])]


@pytest.mark.parametrize("seconds", LENGTHS)
def test_everything_arrives_after_the_return(seconds: float, orthanc: Orthanc, tmp_path: Path) -> None:
    with RecordingProxy(orthanc.dicom_port) as proxy:
        document = site([destination("pacs", orthanc.ae_title, proxy.port)], [enhancing("passthrough")])
        with Node(tmp_path / "node", site_yaml=document) as node:
            proxy.refuse()
            orthanc.stop()
            gone = time.monotonic()
            sent = 0
            while time.monotonic() - gone < seconds:
                sent += 1
                send(node, make_ct_series(tmp_path / str(sent), SLICES, rows=64, seed=sent))
                time.sleep(min(seconds / 3, 30.0))
                assert_waiting(node, sent)
            orthanc.start()
            proxy.accept()
            back = time.monotonic()
            wait_sent(node, sent, seconds=WITHIN_SECONDS)
            took = time.monotonic() - back
            print(f"{sent} series, away for {seconds:g} s: all there {took:.1f} s after the return")
            assert took < WITHIN_SECONDS
            assert orthanc.instance_count() == sent * SLICES
            assert len(proxy.stores) == sent * SLICES
            assert proxy.violations() == []
            assert {row["state"] for row in node.cli("deliveries", "list")} == {"sent"}


def assert_waiting(node: Node, sent: int) -> None:
    """All that came more than a moment ago is pending, and says that nobody listens."""
    rows = node.cli("deliveries", "list")
    assert len(rows) >= sent - 1
    for row in rows:
        assert row["state"] in ("pending", "sending")
        assert row["instances"] == {"pending": SLICES}
    assert "refused" in rows[-1]["reason"]
