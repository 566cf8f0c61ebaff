"""kill -9 of the node while the PACS holds its C-STORE-RSP: all delivered, none lost, none twice in the PACS."""

from collections import Counter
from pathlib import Path

import pytest
from faults.scenario import ask, send_whole, site
from support.instances import ct_template
from support.matrix import Form, RecordRow, forms
from support.nodeproc import Node
from support.peers import Orthanc
from support.proxy import RecordingProxy, Store

pytestmark = [pytest.mark.faults, pytest.mark.peers]


@pytest.mark.parametrize("form", forms(7))
def test_the_node_dies_waiting_for_a_response(
    form: Form, orthanc: Orthanc, tmp_path: Path, record_row: RecordRow
) -> None:
    template, count, again = ct_template(64), form["instances"], 0
    with RecordingProxy(orthanc.dicom_port) as proxy:
        completion = {"quiet_seconds": 3600.0}
        node = Node(tmp_path / "node", site_yaml=site(proxy.port, forward=True, enhance=False), completion=completion)
        try:
            node.start()
            for number in range(form["rounds"]):
                before, at = len(proxy.stores), number % count
                proxy.faults.drop_responses_after = proxy.responses_passed + at
                send_whole(node, list(template.series(number + 1, count)))
                lost = killed_waiting(node, proxy, before)
                proxy.faults.drop_responses_after = None
                node.start()
                node.wait_until(lambda number=number: sent(node) == number + 1, 60.0, "the series to be sent")
                sends = Counter(store.sop_instance_uid for store in proxy.stores[before:])
                assert sends == Counter(file.sop_uid for file in template.series(number + 1, count)) + Counter(
                    store.sop_instance_uid for store in lost
                ), "those whose responses were held, and no others, are sent again"
                again += len(lost)
            assert orthanc.instance_count() == form["rounds"] * count
            proxy.assert_no_violations()
        finally:
            node.stop()
    total, rounds = form["rounds"] * count, form["rounds"]
    what = f"{again} in {rounds} rounds, the ones on the wire"
    record_row(form, node=f"{total} of {total} in the PACS, each once; sent again: {what}")


def killed_waiting(node: Node, proxy: RecordingProxy, first: int) -> list[Store]:
    """Kill the node once the PACS has answered one of the requests from `first` on, and the answer is held back.

    The requests without an answer, once the proxy has read all that the dead node had said: one an association.
    """

    def unanswered() -> list[Store]:
        return [store for store in proxy.stores[first:] if store.status is None]

    node.wait_until(lambda: [store for store in unanswered() if store.answered == 0], 60.0, "the hold")
    node.kill9()
    node.wait_until(lambda: not proxy._sockets, 60.0, "the connections of the dead to end")
    over = [store.association for store in unanswered()]
    assert len(set(over)) == len(over), "nothing more goes out over an association before its response"
    return unanswered()


def sent(node: Node) -> int:
    """Deliveries that the PACS took as a whole."""
    query = "SELECT count(*) FROM delivery WHERE state IN ('sent', 'verified', 'committed')"
    return int(ask(node, query)[0][0])
