"""One effect at the PACS whatever the network does: one byte string per UID, and only the unanswered is re-sent."""

from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest
from support.mainflow import ANNOUNCED, destination, enhancing, send, site, wait_sent
from support.nodeproc import Node
from support.peers import Orthanc
from support.proxy import RecordingProxy, Store
from support.series import make_ct_series

pytestmark = pytest.mark.peers

SLICES = 8
DELIVERY = {"backoff_first": 0.2, "backoff_cap": 1.0, "response_timeout": 10.0}
"""The PACS answers at once, unless the machine pauses: only the test that drops a response waits so long."""
_studies = count(1)


@pytest.fixture(scope="module")
def orthanc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    with Orthanc(tmp_path_factory.mktemp("pacs")) as running:
        yield running


@pytest.fixture(scope="module")
def proxy(orthanc: Orthanc) -> Iterator[RecordingProxy]:
    with RecordingProxy(orthanc.dicom_port) as running:
        yield running


@pytest.fixture(scope="module")
def node(orthanc: Orthanc, proxy: RecordingProxy, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    document = site([destination("pacs", orthanc.ae_title, proxy.port)], [enhancing("passthrough")])
    with Node(tmp_path_factory.mktemp("node"), site_yaml=document, delivery=DELIVERY, completion=ANNOUNCED) as running:
        yield running


def send_a_study(node: Node, folder: Path) -> int:
    """A study that was never sent before; returns how many there were until now."""
    number = next(_studies)
    send(node, make_ct_series(folder, SLICES, rows=64, seed=number, images_in_acquisition=True))
    return number


def sent_twice(stores: list[Store]) -> set[str]:
    uids = [store.sop_instance_uid for store in stores]
    return {uid for uid in uids if uids.count(uid) > 1}


def assert_one_effect(node: Node, proxy: RecordingProxy, orthanc: Orthanc, studies: int, seen: int) -> None:
    """Of the requests from `seen` on: all instances are there, and the second sends are those without an answer."""
    wait_sent(node, studies)
    stores = proxy.stores[seen:]
    node.wait_until(lambda: sum(store.status == 0 for store in stores) == SLICES, 60.0, "the proxy to note all answers")
    unanswered = {store.sop_instance_uid for store in stores if store.status is None}
    proxy.assert_no_violations()
    assert orthanc.instance_count() == studies * SLICES
    assert len({store.sop_instance_uid for store in stores}) == SLICES
    assert sent_twice(stores) == unanswered


def test_no_fault_no_second_send(node: Node, proxy: RecordingProxy, orthanc: Orthanc, tmp_path: Path) -> None:
    seen = len(proxy.stores)
    assert_one_effect(node, proxy, orthanc, send_a_study(node, tmp_path), seen)
    assert len(proxy.stores) == seen + SLICES


def test_a_response_that_never_comes(node: Node, proxy: RecordingProxy, orthanc: Orthanc, tmp_path: Path) -> None:
    seen = len(proxy.stores)
    proxy.faults.drop_responses_after = proxy.responses_passed + 3
    studies = send_a_study(node, tmp_path)
    node.wait_until(lambda: len(proxy.stores) > seen + 4, 60.0, "an instance to be sent again")
    proxy.faults.drop_responses_after = None
    assert_one_effect(node, proxy, orthanc, studies, seen)
    assert [store.status for store in proxy.stores[seen : seen + 4]] == [0, 0, 0, None]
    assert proxy.stores[seen + 3].sop_instance_uid in sent_twice(proxy.stores[seen:])


def test_a_cut_instead_of_the_response(node: Node, proxy: RecordingProxy, orthanc: Orthanc, tmp_path: Path) -> None:
    seen = len(proxy.stores)
    proxy.faults.cut_instead_of_response = proxy.responses_seen + 5
    assert_one_effect(node, proxy, orthanc, send_a_study(node, tmp_path), seen)
    lost = proxy.stores[seen + 4]
    assert (lost.answered, lost.status) == (0, None)
    assert sent_twice(proxy.stores[seen:]) == {lost.sop_instance_uid}


def test_a_cut_between_two_instances(node: Node, proxy: RecordingProxy, orthanc: Orthanc, tmp_path: Path) -> None:
    seen = len(proxy.stores)
    proxy.faults.cut_after = proxy.responses_passed + 3
    assert_one_effect(node, proxy, orthanc, send_a_study(node, tmp_path), seen)
    assert [store.status for store in proxy.stores[seen : seen + 3]] == [0, 0, 0]
    assert len({store.association for store in proxy.stores[seen:]}) == 2


def test_a_cut_inside_an_instance(node: Node, proxy: RecordingProxy, orthanc: Orthanc, tmp_path: Path) -> None:
    seen = len(proxy.stores)
    proxy.faults.cut_inside_request = seen + 6
    assert_one_effect(node, proxy, orthanc, send_a_study(node, tmp_path), seen)
    torn = proxy.stores[seen + 5]
    assert (torn.sha256, torn.status) == (None, None)
    assert sent_twice(proxy.stores[seen:]) == {torn.sop_instance_uid}
