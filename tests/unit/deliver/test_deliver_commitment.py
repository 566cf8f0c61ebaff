"""Storage commitment over our own association, as SCU and as SCP, against pynetdicom and against rude peers."""

import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from pydicom import Dataset
from pydicom.uid import CTImageStorage
from pynetdicom import AE, evt
from pynetdicom.sop_class import StorageCommitmentPushModel, Verification
from support.archive import Archive, Asked
from support.peers import free_port

from dicomnode.deliver.association import Association
from dicomnode.deliver.commitment import COMMITMENT, Heard, ask, report_commitment, reports
from dicomnode.deliver.conversation import IMPLICIT, Conversation
from dicomnode.deliver.destination import Destination, Timeouts
from dicomnode.deliver.n_service import n_event_report_rq
from dicomnode.deliver.outcome import AssociationFailed, FailureKind
from dicomnode.domain import command_set as dimse
from dicomnode.domain.commitment import CommitmentReport

CT = str(CTImageStorage)
PATIENT = Timeouts(connect=60.0, acse=60.0, dimse=60.0)
TWO = [(CT, "1.2.3"), (CT, "1.2.4")]


@contextmanager
def conversation(port: int, heard: Heard) -> Iterator[Conversation]:
    destination = Destination("pacs", "ARCHIVE", "127.0.0.1", port)
    association = Association.request(destination, "NODE", [COMMITMENT], PATIENT, threading.Event())
    try:
        yield Conversation(association, PATIENT.dimse, reports(heard))
        association.release()
    finally:
        association.abort()


@pytest.mark.parametrize("how", ["before", "after"])
def test_a_report_is_heard_before_and_after_the_response(how: str) -> None:
    told: list[tuple[int, CommitmentReport]] = []
    with Archive(report=how) as archive:
        archive.kept = {"1.2.3": Dataset()}
        with conversation(archive.port, lambda kind, report: told.append((kind, report))) as talk:
            assert ask(talk, "2.25.1", TWO) == 0x0000
            assert bool(told) == (how == "before")
            assert told or talk.hear(60.0)
    assert told == [(2, CommitmentReport("2.25.1", ("1.2.3",), (("1.2.4", 0x0112),)))]
    assert archive.asked == [Asked("2.25.1", TWO)]


def test_several_requests_and_their_reports_share_an_association() -> None:
    told: list[str] = []
    with (
        Archive() as archive,
        conversation(archive.port, lambda kind, report: told.append(report.transaction_uid)) as talk,
    ):
        for number in range(5):
            assert ask(talk, f"2.25.{number}", TWO) == 0x0000
            assert talk.hear(60.0)
    assert told == [f"2.25.{number}" for number in range(5)]
    assert archive.answers == [0x0000] * 5


def test_a_report_that_cannot_be_kept_is_not_acknowledged() -> None:
    def fail(kind: int, report: CommitmentReport) -> None:
        raise OSError("the database is away")

    with Archive() as archive, conversation(archive.port, fail) as talk:
        ask(talk, "2.25.1", TWO)
        assert talk.hear(60.0)
    assert archive.answers == [0x0110]


def test_nobody_reports_and_nothing_is_lost_by_waiting() -> None:
    with Archive(report="never") as archive, conversation(archive.port, lambda kind, report: None) as talk:
        assert ask(talk, "2.25.1", TWO) == 0x0000
        assert not talk.hear(0.2)
        assert ask(talk, "2.25.2", TWO) == 0x0000


def test_thousands_of_instances_are_one_request() -> None:
    many = [(CT, f"2.25.4711.{number}") for number in range(3_000)]
    told: list[CommitmentReport] = []
    with Archive() as archive, conversation(archive.port, lambda kind, report: told.append(report)) as talk:
        assert ask(talk, "2.25.1", many) == 0x0000
        while not told:
            assert talk.hear(60.0)
    assert archive.asked[0].instances == many
    assert len(told[0].failed) == 3_000


class Listener:
    """A modality that takes reports, as pynetdicom does it: with role selection, and answers `status`."""

    def __init__(self, status: int = 0x0000, sop_class: str = StorageCommitmentPushModel, **roles: bool) -> None:
        self.told: list[tuple[int, Dataset]] = []
        self.roles: list[tuple[bool, bool]] = []
        self.status, self.port = status, free_port()
        entity = AE(ae_title="MODALITY")
        entity.add_supported_context(sop_class, **roles)
        handlers = [(evt.EVT_N_EVENT_REPORT, self._hear)]
        self._server = entity.start_server(("127.0.0.1", self.port), block=False, evt_handlers=handlers)  # type: ignore[arg-type]

    @property
    def destination(self) -> Destination:
        return Destination("modality", "MODALITY", "127.0.0.1", self.port)

    def _hear(self, event: Any) -> tuple[int, None]:
        self.told.append((event.event_type, event.event_information))
        self.roles += [(role.scu_role, role.scp_role) for role in event.assoc.requestor.role_selection.values()]
        return self.status, None

    def __enter__(self) -> "Listener":
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()


def tell(listener: Listener, failures: dict[str, int]) -> int:
    return report_commitment(listener.destination, "NODE", "2.25.7", TWO, failures, timeouts=PATIENT)


def uids(items: Any) -> list[str]:
    return [str(item.ReferencedSOPInstanceUID) for item in items or ()]


@pytest.mark.parametrize("roles", [{"scu_role": False, "scp_role": True}, {}], ids=["with roles", "without a word"])
def test_a_modality_is_told_on_an_association_of_its_own(roles: dict[str, bool]) -> None:
    with Listener(**roles) as listener:
        assert tell(listener, {"1.2.4": 0x0112}) == 0x0000
        assert tell(listener, {}) == 0x0000
        assert tell(listener, {"1.2.3": 0x0110, "1.2.4": 0x0110}) == 0x0000
    (kind, some), (all_kind, all_kept), (none_kind, none) = listener.told
    assert (kind, all_kind, none_kind) == (2, 1, 2)
    assert (uids(some.ReferencedSOPSequence), uids(some.FailedSOPSequence)) == (["1.2.3"], ["1.2.4"])
    assert some.FailedSOPSequence[0].FailureReason == 0x0112
    assert some.TransactionUID == "2.25.7"
    assert (uids(all_kept.ReferencedSOPSequence), "FailedSOPSequence" in all_kept) == (["1.2.3", "1.2.4"], False)
    assert "ReferencedSOPSequence" not in none
    assert set(listener.roles) == {(False, True)}


def test_the_status_of_a_modality_is_handed_on() -> None:
    with Listener(0x0110, scu_role=False, scp_role=True) as listener:
        assert tell(listener, {}) == 0x0110


def test_a_modality_that_takes_no_reports_is_a_permanent_failure() -> None:
    with Listener(sop_class=Verification) as listener, pytest.raises(AssociationFailed) as caught:
        tell(listener, {})
    assert not caught.value.transient
    assert "does not take Storage Commitment Push Model" in caught.value.reason


def test_a_modality_that_is_away_is_a_transient_failure() -> None:
    nowhere = Destination("modality", "MODALITY", "127.0.0.1", free_port())
    with pytest.raises(AssociationFailed) as caught:
        report_commitment(nowhere, "NODE", "2.25.7", TWO, {}, timeouts=PATIENT)
    assert (caught.value.kind, caught.value.transient) == (FailureKind.CONNECTION, True)


def item(kind: int, content: bytes) -> bytes:
    return struct.pack(">BxH", kind, len(content)) + content


def pdu(message_bytes: bytes, control: int) -> bytes:
    value = struct.pack(">IBB", len(message_bytes) + 2, 1, control) + message_bytes
    return struct.pack(">BxI", 4, len(value)) + value


A_RELEASE_RQ = 5


@contextmanager
def rude(answer: Callable[[socket.socket], None]) -> Iterator[int]:
    """A peer that takes the association and then follows `answer`."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def run() -> None:
            peer, _ = server.accept()
            with peer:
                request = peer.recv(65536)
                body = b"\0\1\0\0" + request[10:74] + item(0x10, b"1.2.840.10008.3.1.1.1")
                body += item(0x21, b"\1\0\0\0" + item(0x40, IMPLICIT.encode()))
                body += item(0x50, item(0x51, struct.pack(">I", 16384)) + item(0x52, b"1.2.3"))
                peer.sendall(struct.pack(">BxI", 2, len(body)) + body)
                peer.recv(65536)
                answer(peer)
                while said := peer.recv(65536):
                    if said[0] == A_RELEASE_RQ:
                        peer.sendall(bytes((A_RELEASE_RQ + 1, 0)) + said[2:])

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        yield server.getsockname()[1]
        thread.join(60)


def response(message_id: int) -> bytes:
    return dimse.encode(
        {
            dimse.COMMAND_FIELD: dimse.us(dimse.N_ACTION_RQ | dimse.RESPONSE),
            dimse.MESSAGE_ID_BEING_RESPONDED_TO: dimse.us(message_id),
            dimse.COMMAND_DATA_SET_TYPE: dimse.us(dimse.NO_DATA_SET),
            dimse.STATUS: dimse.us(0),
        }
    )


@pytest.mark.parametrize("nonsense", [b"no data set", b"", b"\x08\x00\x18\x00\xff\xff\xff\xff"])
def test_a_report_that_makes_no_sense_is_refused_and_the_response_still_found(nonsense: bytes) -> None:
    heard: list[CommitmentReport] = []

    def answer(peer: socket.socket) -> None:
        peer.sendall(pdu(n_event_report_rq(9, 1), 3) + pdu(nonsense, 2))
        seen.append(peer.recv(65536))
        peer.sendall(pdu(response(1), 3))

    seen: list[bytes] = []
    with rude(answer) as port, conversation(port, lambda kind, report: heard.append(report)) as talk:
        assert ask(talk, "2.25.1", TWO) == 0x0000
    assert heard == []
    elements = dimse.decode(seen[0][12:])
    assert dimse.number(elements, dimse.STATUS) == 0x0115
    assert dimse.number(elements, dimse.MESSAGE_ID_BEING_RESPONDED_TO) == 9


@pytest.mark.parametrize(
    "bad",
    [pdu(response(7), 3), pdu(dimse.encode({dimse.COMMAND_FIELD: dimse.us(0x0001), dimse.MESSAGE_ID: dimse.us(1),
                                            dimse.COMMAND_DATA_SET_TYPE: dimse.us(dimse.NO_DATA_SET)}), 3)],
    ids=["another message's response", "a C-STORE"],
)  # fmt: skip
def test_what_nobody_asked_for_ends_the_conversation(bad: bytes) -> None:
    with (
        rude(lambda peer: peer.sendall(bad)) as port,
        pytest.raises(ValueError, match=r"message 7|no N-EVENT-REPORT"),
        conversation(port, lambda kind, report: None) as talk,
    ):
        ask(talk, "2.25.1", TWO)
