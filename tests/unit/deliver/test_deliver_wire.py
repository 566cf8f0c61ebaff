"""The wire against a scripted peer: answers that no decent SCP gives, and none may hang or mislead the node."""

import os
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from support.steps import Steps, stepping

from dicomnode.deliver import wire as wire_module
from dicomnode.deliver.content import OnDisk
from dicomnode.deliver.destination import Destination, Timeouts
from dicomnode.deliver.outcome import AssociationFailed, FailureKind, Outcome, Response
from dicomnode.deliver.scu import Outgoing, open_association

CT, EXPLICIT = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.1.2.1"
FILE = b"\0" * 128 + b"DICM" + b"\x02\x00\x10\x00UI\x14\x00" + EXPLICIT.encode() + b"\0" + b"data" * 2500
ONE = Outgoing(CT, "1.2.3", EXPLICIT, lambda: FILE)
A_ABORT = b"\x07\0\0\0\0\4\0\0\0\0"
PATIENT = Timeouts(connect=60.0, acse=60.0, dimse=60.0)
"""For peers that answer, however long that takes on this machine."""
NO_ASSOCIATION = replace(PATIENT, acse=0.5)
NO_RESPONSE = replace(PATIENT, dimse=0.5)

Script = Callable[[socket.socket], None]


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> Steps:
    return stepping(wire_module, monkeypatch)


def read_exactly(peer: socket.socket, length: int) -> bytes:
    received = b""
    while len(received) < length:
        chunk = peer.recv(length - len(received))
        if not chunk:
            raise ConnectionError("the node hung up")
        received += chunk
    return received


def read_pdu(peer: socket.socket) -> bytes:
    header = read_exactly(peer, 6)
    return header + read_exactly(peer, int.from_bytes(header[2:6], "big"))


def item(kind: int, content: bytes) -> bytes:
    return struct.pack(">BxH", kind, len(content)) + content


def accept(peer: socket.socket, limit: int = 16384) -> None:
    """Answer an A-ASSOCIATE-RQ: context 1 accepted, `limit` as maximum length (PS3.8 9.3.3)."""
    request = read_pdu(peer)
    body = b"\0\1\0\0" + request[10:74]
    body += item(0x10, b"1.2.840.10008.3.1.1.1") + item(0x21, b"\1\0\0\0" + item(0x40, EXPLICIT.encode()))
    body += item(0x50, item(0x51, struct.pack(">I", limit)) + item(0x52, b"1.2.3"))
    peer.sendall(struct.pack(">BxI", 2, len(body)) + body)


def read_store(peer: socket.socket) -> tuple[bytes, list[int]]:
    """The data set of one C-STORE-RQ, and the length of each PDU."""
    data, lengths = b"", []
    while True:
        pdu = read_pdu(peer)
        assert pdu[0] == 4, "not a P-DATA-TF"
        assert int.from_bytes(pdu[6:10], "big") == len(pdu) - 10, "one PDV in each PDU"
        lengths.append(len(pdu) - 6)
        if not pdu[11] & 1:
            data += pdu[12:]
            if pdu[11] & 2:
                return data, lengths


def response(message_id: int = 1, status: int = 0) -> bytes:
    elements = ((0x0100, 0x8001), (0x0120, message_id), (0x0800, 0x0101), (0x0900, status))
    body = b"".join(struct.pack("<HHIH", 0, element, 2, value) for element, value in elements)
    return struct.pack("<HHII", 0, 0, 4, len(body)) + body


def pdv(fragment: bytes, control: int = 3) -> bytes:
    return struct.pack(">IBB", len(fragment) + 2, 1, control) + fragment


def p_data(*values: bytes) -> bytes:
    content = b"".join(values)
    return struct.pack(">BxI", 4, len(content)) + content


@contextmanager
def scripted(script: Script) -> Iterator[Destination]:
    """A peer that follows the script on its first connection; an assertion in the script fails the test."""
    failures: list[BaseException] = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)  # what is not read waits on our side

        def run() -> None:
            connection, _ = server.accept()
            with connection:
                connection.settimeout(60)
                try:
                    script(connection)
                except OSError:
                    pass  # the node hung up, as most scripts want
                except BaseException as failure:
                    failures.append(failure)

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        yield Destination("pacs", "PACS", "127.0.0.1", server.getsockname()[1])
        thread.join(60)
    if failures:
        raise failures[0]


def send_to(script: Script, timeouts: Timeouts = PATIENT) -> Response:
    with scripted(script) as pacs, open_association(pacs, "NODE", [ONE], timeouts=timeouts) as session:
        answer = session.send(ONE)
        assert session.is_open == answer.stored
        return answer


def after_store(*parts: bytes) -> Script:
    def script(peer: socket.socket) -> None:
        accept(peer)
        read_store(peer)
        for part in parts:
            peer.sendall(part)
            time.sleep(0.01)
        peer.recv(100)

    return script


@pytest.mark.parametrize("limit", [0, 128, 4097, 16384, 1 << 20])
def test_pdus_respect_the_peers_maximum_length(limit: int) -> None:
    seen: list[tuple[bytes, list[int]]] = []

    def script(peer: socket.socket) -> None:
        accept(peer, limit)
        seen.append(read_store(peer))
        peer.sendall(p_data(pdv(response())))
        peer.recv(100)

    assert send_to(script).stored
    ((data, lengths),) = seen
    assert data == b"data" * 2500
    assert max(lengths) <= (limit or 131_072)
    assert all(length % 2 == 0 for length in lengths)


def test_a_response_in_pieces_is_put_together() -> None:
    whole = response(status=0xB000)
    pieces = (p_data(pdv(whole[:20], 1)), p_data(pdv(whole[20:30], 1), pdv(whole[30:], 3)))
    assert send_to(after_store(pieces[0][:7], pieces[0][7:] + pieces[1][:3], pieces[1][3:])).status == 0xB000


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (p_data(pdv(response(message_id=9))), "message 9"),
        (p_data(pdv(b"garbage!" * 3)), "broke the protocol"),
        (p_data(pdv(b"")), "broke the protocol"),
        (p_data(b"\0\0\1"), "malformed"),
        (p_data(pdv(response())[:-5]), "malformed"),
        (p_data(*[pdv(b"x" * 1000, 1)] * 20), "too long"),
        (b"\x04\0\xff\xff\xff\xff", "4294967295 bytes"),
        (b"\x09\0\0\0\0\0", "type 09H"),
        (A_ABORT, "aborted the association (its user)"),
        (b"\x07\0\0\0\0\4\0\0\2\6", "aborted the association"),
        (b"\x05\0\0\0\0\4\0\0\0\0", "released the association"),
        (b"\x04\0\0\0", "silent"),
    ],
)
def test_a_bad_answer_is_a_lost_response(answer: bytes, words: str) -> None:
    lost = send_to(after_store(answer), NO_RESPONSE if words == "silent" else PATIENT)
    assert (lost.outcome, lost.status) == (Outcome.TRANSIENT, None)
    assert words in lost.detail


def test_a_peer_that_stops_reading_is_left_after_the_time_out() -> None:
    large = Outgoing(CT, "1.2.3", EXPLICIT, lambda: FILE + bytes(64 << 20))
    gone = threading.Event()
    rest: list[bytes] = []

    def script(peer: socket.socket) -> None:
        accept(peer)
        gone.wait(60)
        while chunk := peer.recv(1 << 20):
            rest.append(chunk)

    with scripted(script) as pacs, open_association(pacs, "NODE", [large], timeouts=NO_RESPONSE) as session:
        started = time.monotonic()
        lost = session.send(large)
        assert lost.outcome is Outcome.TRANSIENT
        assert time.monotonic() - started < 30
        gone.set()
    assert sum(map(len, rest)) < 64 << 20, "the peer must not have been able to hold it all"


def test_no_abort_is_written_into_a_data_set() -> None:
    """The peer would take it for the last bytes of the data set."""
    large = Outgoing(CT, "1.2.3", EXPLICIT, lambda: FILE + bytes(64 << 20))
    stop, rest = threading.Event(), [b""]

    def script(peer: socket.socket) -> None:
        accept(peer)
        while chunk := peer.recv(1 << 17):
            rest.append(chunk)
            if len(rest) == 20:
                stop.set()
            time.sleep(0.01)

    with scripted(script) as pacs, open_association(pacs, "NODE", [large], timeouts=PATIENT, stop=stop) as session:
        assert "the node stops" in session.send(large).detail
    received = b"".join(rest)
    assert 0 < len(received) < 64 << 20
    assert not received.endswith(A_ABORT)


def test_a_slow_reader_is_waited_for_as_long_as_it_reads(steps: Steps) -> None:
    """2 MiB lie in the kernel when the last byte is written, and the peer takes them in twenty seconds of a clock."""
    patience = 3.0
    large = Outgoing(CT, "1.2.3", EXPLICIT, lambda: FILE + bytes(2 << 20))

    def script(peer: socket.socket) -> None:
        accept(peer)
        for _ in range(20):
            for _ in range(6):
                read_pdu(peer)
            steps.step(1.0)
        read_store(peer)
        peer.sendall(p_data(pdv(response())))
        peer.recv(100)

    timeouts = replace(PATIENT, dimse=patience)
    with scripted(script) as pacs, open_association(pacs, "NODE", [large], timeouts=timeouts) as session:
        assert session.send(large).stored
    assert steps.now == 20.0


def resident_bytes() -> int:
    """Of this process, now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_a_large_instance_goes_out_in_flat_memory(tmp_path: Path) -> None:
    """A sparse file, as long as a multi-frame that no process of the node may hold."""
    length = 256 << 20
    file = tmp_path / "large.dcm"
    file.write_bytes(FILE)
    os.truncate(file, length)
    large = Outgoing(CT, "1.2.3", EXPLICIT, lambda: OnDisk(file))
    resident, received = [resident_bytes()], [0]

    def script(peer: socket.socket) -> None:
        accept(peer, 0)
        buffer = bytearray(1 << 20)
        peer.settimeout(0.3)
        while True:
            try:
                count = peer.recv_into(buffer)
            except TimeoutError:
                if received[0] > length:  # the node waits for its response
                    break
                continue
            if not count:
                break
            received[0] += count
            if received[0] >> 24 == len(resident):
                resident.append(resident_bytes())
        peer.sendall(p_data(pdv(response())))
        peer.recv(100)

    with scripted(script) as pacs, open_association(pacs, "NODE", [large]) as session:
        assert session.send(large).stored
    assert received[0] > length
    assert len(resident) > 10
    assert max(resident) - resident[0] < 32 << 20


class Shrinking(OnDisk):
    """A file that loses its end while it is sent."""

    def window(self, offset: int, buffer: memoryview) -> memoryview:
        if offset:
            raise EOFError("it became shorter while it was read")
        return super().window(offset, buffer)


def test_a_file_that_cannot_be_read_to_its_end_ends_the_association_between_two_pdus(tmp_path: Path) -> None:
    file = tmp_path / "some.dcm"
    file.write_bytes(FILE + bytes(3 << 20))
    rest = [b""]

    def script(peer: socket.socket) -> None:
        accept(peer)
        while chunk := peer.recv(1 << 20):
            rest.append(chunk)

    torn = Outgoing(CT, "1.2.3", EXPLICIT, lambda: Shrinking(file))
    with scripted(script) as pacs, open_association(pacs, "NODE", [torn], timeouts=PATIENT) as session:
        with pytest.raises(EOFError):
            session.send(torn)
        assert not session.is_open
    received = b"".join(rest)
    assert received.endswith(A_ABORT)
    assert 1 << 19 < len(received) < 3 << 20


@pytest.mark.parametrize(
    ("answer", "kind", "transient"),
    [
        (b"\x03\0\0\0\0\4\0\1\1\7", FailureKind.CONFIGURATION, False),
        (b"\x03\0\0\0\0\4\0\2\3\2", FailureKind.REJECTED, True),
        (b"\x07\0\0\0\0\4\0\0\2\0", FailureKind.ABORTED, True),
        (b"\x02\0\0\0\0\4\0\0\0\0", FailureKind.PROTOCOL, True),
        (b"\x02\0\0\0", FailureKind.TIMEOUT, True),
        (b"", FailureKind.TIMEOUT, True),
    ],
)
def test_answers_to_the_association_request(answer: bytes, kind: FailureKind, transient: bool) -> None:
    def script(peer: socket.socket) -> None:
        read_pdu(peer)
        peer.sendall(answer)
        peer.recv(100)

    with (
        scripted(script) as pacs,
        pytest.raises(AssociationFailed) as caught,
        open_association(pacs, "NODE", [ONE], timeouts=NO_ASSOCIATION if kind is FailureKind.TIMEOUT else PATIENT),
    ):
        pytest.fail("there is no such association")
    assert (caught.value.kind, caught.value.transient) == (kind, transient)


def test_a_connection_that_closes_without_a_word() -> None:
    with (
        scripted(lambda peer: None) as pacs,
        pytest.raises(AssociationFailed) as caught,
        open_association(pacs, "NODE", [ONE], timeouts=PATIENT),
    ):
        pytest.fail("there is no such association")
    assert (caught.value.kind, caught.value.transient) == (FailureKind.CONNECTION, True)


def test_a_release_without_an_answer_does_not_take_long() -> None:
    over = threading.Event()

    def script(peer: socket.socket) -> None:
        accept(peer)
        over.wait(60)

    with scripted(script) as pacs:
        with open_association(pacs, "NODE", [ONE], timeouts=PATIENT) as session:
            session._association._timeouts = NO_ASSOCIATION
            started = time.monotonic()
        assert time.monotonic() - started < 30
        over.set()
