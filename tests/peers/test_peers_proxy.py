"""The recording proxy itself: DCMTK on both sides, so that what it counts can be checked by hand."""

import hashlib
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pydicom import dcmread
from support.peers import Orthanc, StoreScp, echoscu, storescu
from support.proxy import RecordingProxy
from support.series import make_ct_series

from dicomnode.deliver.destination import Destination
from dicomnode.deliver.part10 import data_set_bytes
from dicomnode.deliver.scu import Outgoing, open_association

pytestmark = pytest.mark.peers


@pytest.fixture
def pacs(tmp_path: Path) -> Iterator[StoreScp]:
    with StoreScp(tmp_path / "received", "-aet", "PACS") as running:
        yield running


@pytest.fixture
def proxy(pacs: StoreScp) -> Iterator[RecordingProxy]:
    with RecordingProxy(pacs.port) as running:
        yield running


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    return make_ct_series(tmp_path / "series", 6, rows=128)


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60.0
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def send(files: list[Path], proxy: RecordingProxy, *flags: str) -> int:
    return storescu(files, proxy.port, "PACS", "MODALITY", *flags).returncode


def test_every_store_is_recorded_with_the_hash_of_what_was_sent(
    files: list[Path], proxy: RecordingProxy, pacs: StoreScp
) -> None:
    assert send(files, proxy) == 0
    sent = {
        str(dcmread(file, stop_before_pixels=True).SOPInstanceUID): hashlib.sha256(
            data_set_bytes(file.read_bytes())
        ).hexdigest()
        for file in files
    }
    assert {store.sop_instance_uid: store.sha256 for store in proxy.stores} == sent
    assert [store.status for store in proxy.stores] == [0] * 6
    assert {store.association for store in proxy.stores} == {1}
    assert len(pacs.files()) == 6
    assert proxy.violations() == []


def test_small_and_large_pdus_give_the_same_hashes(files: list[Path], proxy: RecordingProxy) -> None:
    assert send(files, proxy, "--max-send-pdu", "4096") == 0
    assert send(files, proxy, "--max-send-pdu", "131072") == 0
    assert {len({store.sha256 for store in proxy.of(uid)}) for uid in proxy.uids()} == {1}


def test_a_planted_double_send_is_a_violation(files: list[Path], proxy: RecordingProxy) -> None:
    assert send(files, proxy) == 0
    assert send(files[:2], proxy) == 0
    found = proxy.violations()
    assert len(found) == 2
    assert all("sent again after status 0000" in sentence for sentence in found)


def test_other_bytes_under_one_uid_are_a_violation(files: list[Path], proxy: RecordingProxy, tmp_path: Path) -> None:
    dataset = dcmread(files[0])
    dataset.SeriesDescription = "something else"
    dataset.save_as(tmp_path / "changed.dcm")
    proxy.faults.cut_instead_of_response = 1
    assert send(files[:1], proxy) != 0
    assert send([tmp_path / "changed.dcm"], proxy) == 0
    assert proxy.violations() == [f"{dataset.SOPInstanceUID} was sent with 2 different data sets"]


def test_a_lost_response_excuses_the_second_send(files: list[Path], proxy: RecordingProxy, pacs: StoreScp) -> None:
    proxy.faults.cut_instead_of_response = 3
    assert send(files, proxy) != 0
    assert [(store.answered, store.status) for store in proxy.stores] == [(0, 0), (0, 0), (0, None)]
    assert send(files[2:], proxy) == 0
    assert proxy.violations() == []
    assert len(proxy.of(proxy.stores[2].sop_instance_uid)) == 2


def test_dropped_responses_leave_the_sender_waiting(files: list[Path], proxy: RecordingProxy) -> None:
    proxy.faults.drop_responses_after = 2
    statuses: list[int] = []
    sender = threading.Thread(target=lambda: statuses.append(send(files, proxy)))
    sender.start()
    wait_until(lambda: proxy.responses_seen == 3)
    assert sender.is_alive()
    proxy.cut()
    sender.join(60.0)
    assert statuses
    assert statuses != [0]
    assert [store.status for store in proxy.stores] == [0, 0, None]
    assert proxy.stores[2].answered == 0


def test_cuts_between_and_inside_stores(files: list[Path], proxy: RecordingProxy) -> None:
    proxy.faults.cut_after = 2
    assert send(files, proxy) != 0
    assert [store.status for store in proxy.stores[:2]] == [0, 0]
    wait_until(lambda: len([thread for thread in proxy._threads if thread.is_alive()]) == 1)  # that which accepts
    before = len(proxy.stores)
    proxy.faults.cut_inside_request = before + 1
    assert send(files, proxy) != 0
    assert proxy.stores[before].sha256 is None
    assert proxy.stores[before].status is None


def test_refused_connections_and_their_return(proxy: RecordingProxy) -> None:
    assert echoscu(proxy.port, "PACS")
    proxy.refuse()
    assert not echoscu(proxy.port, "PACS")
    proxy.accept()
    assert echoscu(proxy.port, "PACS")


def test_a_stalled_connection_goes_on_afterwards(files: list[Path], proxy: RecordingProxy) -> None:
    proxy.faults.stall = True
    release = threading.Timer(1.0, setattr, (proxy.faults, "stall", False))
    started = time.monotonic()
    release.start()
    assert send(files, proxy) == 0
    assert time.monotonic() - started >= 0.9
    assert proxy.violations() == []


def test_a_kill_excuses_the_last_response_of_each_open_association(files: list[Path], proxy: RecordingProxy) -> None:
    outgoings = [outgoing(file) for file in files[:3]]
    pacs = Destination("pacs", "PACS", "127.0.0.1", proxy.port)
    with open_association(pacs, "NODE", outgoings) as session:
        assert all(session.send(one).stored for one in outgoings)
        proxy.excuse_in_flight()
    with open_association(pacs, "NODE", outgoings) as session:
        assert session.send(outgoings[2]).stored
        assert proxy.violations() == []
        assert session.send(outgoings[1]).stored
        assert len(proxy.violations()) == 1


def outgoing(file: Path) -> Outgoing:
    dataset = dcmread(file, stop_before_pixels=True)
    return Outgoing(dataset.SOPClassUID, dataset.SOPInstanceUID, dataset.file_meta.TransferSyntaxUID, file.read_bytes)


def test_orthanc_keeps_what_storescu_sends_through_the_proxy(orthanc: Orthanc, tmp_path: Path) -> None:
    files = make_ct_series(tmp_path / "series", 4, rows=64)
    with RecordingProxy(orthanc.dicom_port) as proxy:
        assert storescu(files, proxy.port, orthanc.ae_title, "MODALITY").returncode == 0
        assert storescu(files, proxy.port, orthanc.ae_title, "MODALITY").returncode == 0
        assert len(proxy.violations()) == 4
    (series,) = orthanc.series(orthanc.studies()[0])
    assert orthanc.instance_count() == 4
    assert orthanc.series_tags(series)["Modality"] == "CT"
    downloaded = orthanc.download_series(series)
    assert set(downloaded) == orthanc.sop_uids(series)
    sent = {data_set_bytes(file.read_bytes()).tobytes() for file in files}
    assert {data_set_bytes(file).tobytes() for file in downloaded.values()} == sent
    orthanc.restart()
    assert orthanc.instance_count() == 4
