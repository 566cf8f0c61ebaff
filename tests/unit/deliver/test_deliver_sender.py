"""The sender and the ledger: an original that joins a delivery while it is sent goes next, and is no failure."""

from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian
from pynetdicom import AE, evt
from support.flowbench import FlowBench
from support.peers import free_port
from support.series import make_ct_series

from dicomnode.deliver.backoff import Backoff
from dicomnode.deliver.destination import Destination, Timeouts
from dicomnode.deliver.sender import Sender

pytestmark = pytest.mark.torch

FORWARD = """
  - name: onward
    state: live
    when: {attribute: Modality, equals: CT}
    forward_original_to: [archive]
"""


def test_an_instance_that_joins_meanwhile_goes_next_without_a_failure(tmp_path: Path) -> None:
    first, second = make_ct_series(tmp_path / "ct", 2, rows=32)
    bench = FlowBench(tmp_path / "node", FORWARD)
    bench.receive(dcmread(first))
    received: list[str] = []

    def store(event: Any) -> int:
        if not received:
            bench.receive(dcmread(second))
        received.append(str(event.request.AffectedSOPInstanceUID))
        return 0x0000

    entity = AE(ae_title="ARCHIVE")
    entity.add_supported_context(CTImageStorage, ExplicitVRLittleEndian)
    port = free_port()
    server = entity.start_server(("127.0.0.1", port), block=False, evt_handlers=[(evt.EVT_C_STORE, store)])
    try:
        sender = Sender(
            Destination("archive", "ARCHIVE", "127.0.0.1", port),
            bench.flow.database,
            bench.flow.root,
            calling_aet="DICOMNODE",
            node="n",
            backoff=Backoff(),
            timeouts=Timeouts(dimse=10.0),
        )
        assert sender.send_next()
        assert [delivery.state for delivery in bench.deliveries()] == ["pending"]
        assert sender.send_next(), "the one that joined need not wait for any back-off"
    finally:
        server.shutdown()
    assert received == [str(dcmread(file).SOPInstanceUID) for file in (first, second)]
    assert [delivery.state for delivery in bench.deliveries()] == ["sent"]
    assert "delivery.retry" not in bench.events()
