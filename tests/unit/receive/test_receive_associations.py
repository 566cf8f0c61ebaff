import socket
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from pynetdicom import AE
from pynetdicom.association import Association
from support.rawfiles import RawFile, sample
from support.receiving import Receiving, receiving
from support.refusal import refusal

from dicomnode.receive.admission import Admission
from dicomnode.receive.listening import PortTaken
from dicomnode.receive.receiver import ReceiverSettings, StorageReceiver
from dicomnode.receive.statuses import Status
from dicomnode.store.journal import Journal

VERIFICATION = "1.2.840.10008.1.1"


@pytest.fixture(scope="module")
def ct() -> RawFile:
    return sample()


def modality(calling: str = "MODALITY") -> AE:
    entity = AE(ae_title=calling)
    entity.add_requested_context(VERIFICATION)
    return entity


def associate(node: Receiving, calling: str = "MODALITY", called: str = "DICOMNODE") -> Association:
    return modality(calling).associate("127.0.0.1", node.port, ae_title=called)


def wait_for(node: Receiving, event: str, count: int = 1) -> list[dict[str, Any]]:
    deadline = time.monotonic() + 60
    while len(found := node.events(event)) < count and time.monotonic() < deadline:
        time.sleep(0.02)
    return found


@pytest.mark.parametrize(
    ("calling", "called", "diagnostic"),
    [("MODALITY", "SOMEBODY", 7), ("STRANGER", "DICOMNODE", 3), ("STRANGER", "SOMEBODY", 7)],
)
def test_ae_titles_are_checked(tmp_path: Path, calling: str, called: str, diagnostic: int) -> None:
    with receiving(tmp_path, allowed_calling_aets=["MODALITY", "OTHER"]) as node:
        assert refusal(modality(calling), node.port, called) == (1, 1, diagnostic)
        (event,) = wait_for(node, "association-rejected")
        assert (event["calling_aet"], event["called_aet"], event["peer"]) == (calling, called, "127.0.0.1")
        assert (event["result"], event["source"], event["diagnostic"]) == (1, 1, diagnostic)
        accepted = associate(node)
        assert accepted.is_established
        accepted.release()


def test_the_called_ae_title_may_be_anything_where_it_is_not_checked(tmp_path: Path) -> None:
    with receiving(tmp_path, check_called_aet=False) as node:
        association = associate(node, "ANYBODY", "SOMEBODY")
        assert association.is_established
        association.release()
        (opened,) = wait_for(node, "association-opened")
        assert (opened["calling_aet"], opened["called_aet"]) == ("ANYBODY", "SOMEBODY")


def test_one_too_many_is_told_to_come_back(tmp_path: Path) -> None:
    with receiving(tmp_path, max_associations=2) as node:
        held = [associate(node), associate(node)]
        assert refusal(modality(), node.port) == (2, 3, 2)
        for association in held:
            association.release()
        assert wait_for(node, "association-rejected")[0]["diagnostic"] == 2


def test_open_associations_are_counted_by_calling_ae_title(tmp_path: Path) -> None:
    with receiving(tmp_path) as node:
        first, second, other = associate(node, "CT1"), associate(node, "CT1"), associate(node, "MR1")
        counts = {aet: node.receiver.open_associations(aet) for aet in ("CT1", "MR1", "XX")}
        assert counts == {"CT1": 2, "MR1": 1, "XX": 0}
        assert node.receiver.open_associations() == 3
        first.release()
        second.abort()
        other.release()
        wait_for(node, "association-closed", 3)
        assert node.receiver.open_associations() == 0


def test_every_association_has_an_end_with_counts(tmp_path: Path, ct: RawFile) -> None:
    with receiving(tmp_path) as node:
        with node.sender() as sender:
            sender.store(ct.sop_class, ct.sop_uid, ct.transfer_syntax, ct.data_set)
            sender.store(ct.sop_class, ct.sop_uid, ct.transfer_syntax, ct.data_set)
            sender.store(ct.sop_class, "x", ct.transfer_syntax, ct.data_set)
        (closed,) = wait_for(node, "association-closed")
        assert closed["outcome"] == "released"
        assert (closed["received"], closed["received_bytes"]) == (2, 2 * len(ct.data_set))
        assert closed["refused"] == {"0117": 1}
        assert {m.receipt.association for m in node.instances()} == {closed["association"]}


def test_how_an_association_ended_is_told(tmp_path: Path) -> None:
    with receiving(tmp_path) as node:
        associate(node, "RELEASES").release()
        associate(node, "ABORTS").abort()
        lost = associate(node, "VANISHES")
        lost.dul.socket.socket.shutdown(socket.SHUT_RDWR)
        closed = wait_for(node, "association-closed", 3)
        outcomes = {event["calling_aet"]: event["outcome"] for event in closed}
        assert outcomes == {"RELEASES": "released", "ABORTS": "aborted", "VANISHES": "lost"}
        assert len({event["association"] for event in closed}) == 3


def test_association_ids_are_unique_over_restarts(tmp_path: Path) -> None:
    for _ in range(2):
        with receiving(tmp_path) as node:
            associate(node).release()
            wait_for(node, "association-closed")
    assert len({event["association"] for event in node.events("association-opened")}) == 2


def test_a_taken_port_is_said_in_plain_words(tmp_path: Path) -> None:
    with receiving(tmp_path) as node:
        other = StorageReceiver(ReceiverSettings(port=node.port), Journal(tmp_path, "n", "p"))
        with pytest.raises(PortTaken, match=f"port {node.port} on 127.0.0.1 is taken"):
            other.start()
        assert associate(node).is_established


def test_stop_lets_the_open_ones_finish(tmp_path: Path, ct: RawFile) -> None:
    with receiving(tmp_path) as node:
        sender = node.sender()
        assert sender.store(ct.sop_class, ct.sop_uid, ct.transfer_syntax, ct.data_set) == 0
        port = node.port
        stopping = threading.Thread(target=node.receiver.stop, args=(120.0,))
        stopping.start()
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=60).close()
            except ConnectionError:
                break
            time.sleep(0.02)
        assert sender.store(ct.sop_class, ct.sop_uid, ct.transfer_syntax, ct.data_set) == 0
        assert stopping.is_alive()
        sender.close()
        stopping.join(timeout=60)
        assert not stopping.is_alive()
        assert wait_for(node, "association-closed")[0]["received"] == 2


def test_stop_aborts_what_does_not_finish(tmp_path: Path) -> None:
    with receiving(tmp_path) as node:
        association = associate(node)
        silent = socket.create_connection(("127.0.0.1", node.port))
        began = time.monotonic()
        node.receiver.stop(drain_seconds=0.2)
        assert time.monotonic() - began < 60
        association.join(timeout=60)
        assert association.is_aborted
        silent.close()
        assert wait_for(node, "association-closed")[0]["outcome"] == "aborted"


def test_stop_does_not_wait_for_a_peer_inside_a_pdu(tmp_path: Path) -> None:
    with receiving(tmp_path) as node:
        association = associate(node)
        association.dul.socket.socket.sendall(b"\x04\x00\x00\x01\x00\x00half a PDU")
        time.sleep(0.1)
        began = time.monotonic()
        node.receiver.stop(drain_seconds=0.1)
        assert time.monotonic() - began < 60
        assert wait_for(node, "association-closed")[0]["outcome"] == "aborted"


def test_what_is_measured(tmp_path: Path, ct: RawFile) -> None:
    class Counting:
        def __init__(self) -> None:
            self.associations: list[str] = []
            self.answers: list[tuple[Status, int]] = []

        def association(self, outcome: str) -> None:
            self.associations.append(outcome)

        def answered(self, status: Status, data_set_bytes: int, seconds: float) -> None:
            assert 0 < seconds < 60
            self.answers.append((status, data_set_bytes))

    meter = Counting()
    journal = Journal(tmp_path, "n", "p", min_free_gb=0)
    admission = Admission(called_aets=("DICOMNODE",))
    receiver = StorageReceiver(ReceiverSettings(port=0), journal, meter=meter, admission=admission)
    receiver.start()
    node = Receiving(tmp_path, journal, receiver)
    with node.sender() as sender:
        sender.store(ct.sop_class, ct.sop_uid, ct.transfer_syntax, ct.data_set)
        sender.store(ct.sop_class, "x", ct.transfer_syntax, ct.data_set)
    assert refusal(modality(), node.port, "WRONG") == (1, 1, 7)
    receiver.stop(2.0)
    journal.close()
    size = len(ct.data_set)
    assert meter.answers == [(Status.SUCCESS, size), (Status.INVALID_SOP_INSTANCE, size)]
    assert sorted(meter.associations) == ["opened", "rejected", "released"]
