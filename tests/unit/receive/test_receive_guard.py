"""Nobody holds a place by doing nothing, or by doing it slowly: deadlines and caps, with limits made small."""

import contextlib
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from support import wire
from support.receiving import Receiving, receiving

from dicomnode.receive.limits import Limits
from dicomnode.receive.pdu import AbortReason

CT = wire.Context(1, wire.CT_IMAGE, (wire.EXPLICIT,))
PATIENT = Limits(
    artim_seconds=60,
    pdu_seconds=60,
    idle_seconds=60,
    slow_seconds=60,
    stalled_seconds=60,
    max_pdu=16384,
    max_waiting=20,
)
"""A test shortens the one deadline that it is about: a busy machine must meet no other one first."""
SLACK = 30.0
"""Deadlines are looked at once a second; a busy machine is later."""


@pytest.fixture
def limits() -> Limits:
    return PATIENT


@pytest.fixture
def node(tmp_path: Path, limits: Limits) -> Iterator[Receiving]:
    with receiving(tmp_path, limits=limits) as node:
        yield node


def limited(**limits: float) -> pytest.MarkDecorator:
    """The node of this test has these limits besides."""
    return pytest.mark.parametrize("limits", [replace(PATIENT, **limits)], ids=[""])  # type: ignore[arg-type]


def associated(node: Receiving, *, answers: tuple[int, ...] = (wire.ASSOCIATE_AC,)) -> socket.socket:
    """An association, where the node gives one of these answers at last.

    Who is late comes back: a test may give a second to ask, in which this machine may stand still.
    """
    deadline = time.monotonic() + SLACK
    while time.monotonic() < deadline:
        peer = wire.connect(node.port)
        with contextlib.suppress(wire.Closed, ConnectionError):
            peer.sendall(wire.associate_rq([CT], called="DICOMNODE", calling="MODALITY"))
            answer, _ = wire.read_pdu(peer)
            assert answer in answers
            if answer == wire.ASSOCIATE_AC:
                return peer
        peer.close()
        time.sleep(0.1)
    pytest.fail("nobody makes room")


def associated_in_the_end(node: Receiving) -> socket.socket:
    """The same of one who comes back as long as there is no room."""
    return associated(node, answers=(wire.ASSOCIATE_AC, wire.ASSOCIATE_RJ))


def last_word(peer: socket.socket) -> tuple[int, bytes] | None:
    """The PDU with which the node ends the connection; None where it just closes. Raises TimeoutError."""
    peer.settimeout(SLACK)
    with contextlib.suppress(wire.Closed):
        return wire.read_pdu(peer)
    return None


def aborted(reason: AbortReason) -> tuple[int, bytes]:
    return wire.ABORT, bytes((0, 0, 2, reason))


BY_USER = (wire.ABORT, bytes(4))
COMMAND = wire.store_rq(1, wire.CT_IMAGE, "1.2.3")


def closed(node: Receiving) -> dict[str, object]:
    deadline = time.monotonic() + SLACK
    while not (found := node.events("association-closed")) and time.monotonic() < deadline:
        time.sleep(0.02)
    return found[0]


@limited(artim_seconds=1)
@pytest.mark.parametrize("sent", [b"", b"\x01", wire.associate_rq()[:100]], ids=["silence", "a byte", "half"])
def test_who_does_not_ask_is_sent_away(node: Receiving, sent: bytes) -> None:
    began = time.monotonic()
    with contextlib.closing(wire.connect(node.port)) as peer:
        peer.sendall(sent)
        assert last_word(peer) is None
        assert 0.9 <= time.monotonic() - began < SLACK
    assert "no association was asked for" in node.events("connection-dropped")[0]["reason"]


STALLS = {
    "half a header": b"\x04\0\0",
    "half a PDU": b"\x04\0\0\0\x10\0\0\0\x0f\xfc\1\1 and no more",
    "a command and no data set": wire.p_data(1, wire.COMMAND | wire.LAST, COMMAND),
    "half a command": wire.p_data(1, wire.COMMAND, COMMAND[:30]),
    "half a data set": wire.p_data(1, wire.COMMAND | wire.LAST, COMMAND) + wire.p_data(1, 0, bytes(100)),
}


@limited(pdu_seconds=1)
@pytest.mark.parametrize("sent", STALLS.values(), ids=STALLS)
def test_who_stalls_is_cut(node: Receiving, sent: bytes) -> None:
    with contextlib.closing(associated(node)) as peer:
        peer.sendall(sent)
        assert last_word(peer) == BY_USER
    end = closed(node)
    assert (end["outcome"], str(end["reason"])[-4:]) == ("aborted", " 1 s")


@limited(idle_seconds=1)
def test_who_says_nothing_more_is_cut_after_the_idle_time(node: Receiving) -> None:
    with contextlib.closing(associated(node)) as peer:
        assert last_word(peer) == BY_USER
    assert closed(node)["reason"] == "nothing came for 1 s"


@limited(slow_seconds=1, artim_seconds=1)  # so long it waits for our close, having aborted
def test_who_drips_is_cut(node: Receiving) -> None:
    """Each PDU in time, and the message never done."""
    with contextlib.closing(associated(node)) as peer:
        peer.sendall(wire.p_data(1, wire.COMMAND | wire.LAST, COMMAND))
        began = time.monotonic()
        with contextlib.suppress(ConnectionError):
            while time.monotonic() - began < SLACK:
                peer.sendall(wire.p_data(1, 0, b"12"))
                time.sleep(0.1)
        assert time.monotonic() - began < SLACK
    assert "slower" in str(closed(node)["reason"])


def crumbs() -> bytes:
    return wire.p_data(1, wire.COMMAND | wire.LAST, COMMAND) + 5000 * wire.p_data(1, 0, b"12")


MALFORMED: dict[str, Callable[[], bytes]] = {
    "a PDU of 4 GiB": lambda: wire.pdu(wire.P_DATA_TF, b"", 0xFFFFFFFF),
    "a PDU above what was announced": lambda: wire.pdu(wire.P_DATA_TF, b"", 16384 + 100),
    "no value": lambda: wire.pdu(wire.P_DATA_TF, b""),
    "half a value's head": lambda: wire.pdu(wire.P_DATA_TF, bytes(5)),
    "a value of no length": lambda: wire.pdu(wire.P_DATA_TF, b"\0\0\0\0\1\0"),
    "a value longer than its PDU": lambda: wire.pdu(wire.P_DATA_TF, b"\0\0\1\0\1\0"),
    "another context": lambda: wire.p_data(3, wire.COMMAND | wire.LAST, COMMAND),
    "a data set first": lambda: wire.p_data(1, wire.LAST, b"12"),
    "a context that changes": lambda: wire.p_data(1, wire.COMMAND, b"12") + wire.p_data(5, wire.COMMAND, b"12"),
    "two commands": lambda: 2 * wire.p_data(1, wire.COMMAND | wire.LAST, COMMAND),
    "no command set": lambda: wire.p_data(1, wire.COMMAND | wire.LAST, b"what is this?"),
    "a command set without end": lambda: 9 * wire.p_data(1, wire.COMMAND, bytes(2000)),
    "crumbs": crumbs,
}


@pytest.mark.parametrize("make", MALFORMED.values(), ids=MALFORMED)
def test_what_is_malformed_ends_the_association(node: Receiving, make: Callable[[], bytes]) -> None:
    with contextlib.closing(associated(node)) as peer:
        with contextlib.suppress(ConnectionError):
            peer.sendall(make())
        assert last_word(peer) == aborted(AbortReason.INVALID_PARAMETER)
    assert closed(node)["outcome"] == "aborted"
    assert node.instances() == []


@pytest.mark.parametrize("kind", [wire.ASSOCIATE_RQ, wire.ASSOCIATE_AC, wire.ASSOCIATE_RJ, wire.RELEASE_RP])
def test_a_pdu_out_of_turn_ends_the_association(node: Receiving, kind: int) -> None:
    with contextlib.closing(associated(node)) as peer:
        peer.sendall(wire.pdu(kind))
        assert last_word(peer) == aborted(AbortReason.UNEXPECTED_PDU)


@pytest.mark.parametrize("associate", [True, False])
def test_what_is_no_pdu_is_told_so(node: Receiving, associate: bool) -> None:
    with contextlib.closing(associated(node) if associate else wire.connect(node.port)) as peer:
        peer.sendall(b"GET / HTTP/1.1\r\n\r\n")
        assert last_word(peer) == aborted(AbortReason.UNRECOGNIZED_PDU)


@pytest.mark.parametrize("length", [0xFFFFFFFF, 1 << 20])
def test_a_request_without_end_is_not_waited_for(node: Receiving, length: int) -> None:
    with contextlib.closing(wire.connect(node.port)) as peer:
        peer.sendall(wire.pdu(wire.ASSOCIATE_RQ, b"", length))
        assert last_word(peer) == aborted(AbortReason.INVALID_PARAMETER)


def test_requests_together_have_a_budget(tmp_path: Path) -> None:
    limits = replace(PATIENT, waiting_bytes=300_000)
    half = wire.pdu(wire.ASSOCIATE_RQ, bytes(100_000), 400_000)
    with receiving(tmp_path, limits=limits) as node, contextlib.ExitStack() as stack:
        for _ in range(5):
            stack.enter_context(contextlib.closing(wire.connect(node.port))).sendall(half)
        deadline = time.monotonic() + SLACK
        while not node.events("connection-dropped") and time.monotonic() < deadline:
            time.sleep(0.02)
        assert "memory" in node.events("connection-dropped")[0]["reason"]
        associated(node).close()


@pytest.mark.parametrize("source", ["127.0.0.2", "127.0.0.1"], ids=["another address", "the same address"])
def test_a_crowd_of_silent_ones_shuts_nobody_out(tmp_path: Path, source: str) -> None:
    with receiving(tmp_path, limits=PATIENT) as node, contextlib.ExitStack() as stack:
        for _ in range(3 * PATIENT.max_waiting):
            stack.enter_context(contextlib.closing(wire.connect(node.port, source=source)))
        began = time.monotonic()
        associated(node).close()
        assert time.monotonic() - began < SLACK


def test_the_room_is_made_by_those_with_the_most(tmp_path: Path) -> None:
    with receiving(tmp_path, limits=PATIENT) as node, contextlib.ExitStack() as stack:
        alone = stack.enter_context(contextlib.closing(wire.connect(node.port, source="127.0.0.3")))
        for _ in range(2 * PATIENT.max_waiting):
            stack.enter_context(contextlib.closing(wire.connect(node.port, source="127.0.0.2")))
        alone.sendall(wire.associate_rq([CT], called="DICOMNODE"))
        assert wire.read_pdu(alone)[0] == wire.ASSOCIATE_AC


@pytest.mark.parametrize("source", ["127.0.0.2", "127.0.0.1"], ids=["another address", "the same address"])
def test_who_stalls_makes_room_when_all_places_are_taken(tmp_path: Path, source: str) -> None:
    limits = replace(PATIENT, stalled_seconds=0.5)
    with receiving(tmp_path, limits=limits, max_associations=3) as node, contextlib.ExitStack() as stack:
        for _ in range(3):
            peer = stack.enter_context(contextlib.closing(wire.connect(node.port, source=source)))
            peer.sendall(wire.associate_rq([CT], called="DICOMNODE", calling="STALLS"))
            assert wire.read_pdu(peer)[0] == wire.ASSOCIATE_AC
            peer.sendall(STALLS["half a PDU"])
        for _ in range(2):
            stack.enter_context(contextlib.closing(associated_in_the_end(node)))
        assert {event["calling_aet"] for event in node.events("association-closed")} == {"STALLS"}
        assert "another one needed its place" in node.events("association-closed")[0]["reason"]


def test_who_is_only_idle_keeps_his_place(tmp_path: Path) -> None:
    limits = replace(PATIENT, stalled_seconds=0.2)
    with receiving(tmp_path, limits=limits, max_associations=1) as node, contextlib.closing(associated(node)):
        time.sleep(limits.stalled_seconds + 0.3)
        with contextlib.closing(wire.connect(node.port)) as other:
            other.sendall(wire.associate_rq([CT], called="DICOMNODE"))
            assert wire.read_pdu(other) == (wire.ASSOCIATE_RJ, bytes((0, 2, 3, 2)))


@limited(artim_seconds=1)
def test_after_the_release_nobody_waits_for_ever(node: Receiving) -> None:
    with contextlib.closing(associated(node)) as peer:
        peer.sendall(wire.pdu(wire.RELEASE_RQ))
        assert wire.read_pdu(peer)[0] == wire.RELEASE_RP
        deadline = time.monotonic() + SLACK
        with contextlib.suppress(ConnectionError):
            while time.monotonic() < deadline:
                peer.sendall(b"still here")
                time.sleep(0.1)
        assert time.monotonic() < deadline


def test_a_large_instance_cut_off_leaves_no_file(tmp_path: Path) -> None:
    limits = replace(PATIENT, memory_bytes=50_000)
    with receiving(tmp_path, limits=limits) as node:
        with contextlib.closing(associated(node)) as peer:
            peer.sendall(wire.p_data(1, wire.COMMAND | wire.LAST, COMMAND))
            for _ in range(20):
                peer.sendall(wire.p_data(1, 0, bytes(10_000)))
        closed(node)
        assert len(list(tmp_path.rglob("*.tar"))) == 1, "the events' container and no other"
        assert node.instances() == []
