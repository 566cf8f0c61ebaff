"""A monitor may ask whether the node lives, and may not store: 0124, with its audit row."""

from pathlib import Path

import pytest
from support.nodeproc import Node
from support.peers import echoscu
from support.rawfiles import sample
from support.rawsend import RawSender

pytestmark = pytest.mark.peers


def test_an_echo_only_peer_is_answered_and_told_that_it_may_not_store(tmp_path: Path) -> None:
    file = sample()
    with Node(tmp_path / "node", dicom={"echo_only_aets": ["MONITOR"]}) as node:
        assert echoscu(node.dicom_port, node.ae_title, "MONITOR")
        for calling, status in (("MONITOR", 0x0124), ("SCANNER", 0x0000)):
            with RawSender("127.0.0.1", node.dicom_port, node.ae_title, calling) as sender:
                answer = sender.store(file.sop_class, file.sop_uid, file.transfer_syntax, file.data_set)
            assert answer == status
        node.wait_until(lambda: node.cli("audit", "list", "--kind", "instance.refused"), 60.0, "the refusal's row")
        (row,) = node.cli("audit", "list", "--kind", "instance.refused")
        assert row["detail"]["status"] == "0124"
