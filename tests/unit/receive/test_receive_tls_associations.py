"""Associations over TLS: the same bytes, the same deadlines, and a certificate that stands behind a title."""

import contextlib
import socket
import ssl
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest
from support.certificates import Identity
from support.hospital import Hospital
from support.receiving import Receiving, receiving
from support.wire import (
    ABORT,
    ASSOCIATE_AC,
    ASSOCIATE_RJ,
    CT_IMAGE,
    ECHO,
    EXPLICIT,
    P_DATA_TF,
    RELEASE_RP,
    RELEASE_RQ,
    Closed,
    Context,
    associate_rq,
    connect,
    echo_rq,
    elements,
    items,
    p_data,
    pdu,
    pdvs,
    read_pdu,
    store_rq,
)

from dicomnode.receive.limits import Limits

SILENT = Limits(artim_seconds=1.0)
"""For those who never ask for an association. Who does ask has more time: a handshake may take a while here."""
IDLE = Limits(artim_seconds=60.0, idle_seconds=1.0)
SLOW = Limits(artim_seconds=2.0, pdu_seconds=1.0, slow_seconds=1.5)


@pytest.fixture(scope="module")
def hospital(tmp_path_factory: pytest.TempPathFactory) -> Hospital:
    return Hospital(tmp_path_factory.mktemp("pki") / "pki")


@contextlib.contextmanager
def secured(
    node: Receiving, hospital: Hospital, identity: Identity | None, source: str = "127.0.0.1"
) -> Iterator[ssl.SSLSocket]:
    """A TLS connection to the node."""
    plain = connect(node.tls_port, source=source, timeout=60.0)
    with hospital.client(identity).wrap_socket(plain, server_hostname="localhost") as peer:
        yield peer


def ask(peer: socket.socket, calling: str = "CT1", called: str = "DICOMNODE") -> tuple[int, bytes]:
    """Ask for an association: type and content of the answer."""
    peer.sendall(associate_rq((ECHO, Context(3, CT_IMAGE, (EXPLICIT,))), called, calling))
    return read_pdu(peer)


def welcome(node: Receiving, hospital: Hospital, stack: contextlib.ExitStack, asks: bool = True) -> ssl.SSLSocket:
    """ct1 with an association, or about to ask; at a second try where this machine is slower than a test's limits."""
    for _ in range(20):
        with contextlib.suppress(OSError, Closed), contextlib.ExitStack() as held:
            peer = held.enter_context(secured(node, hospital, hospital.ct1))
            assert not asks or ask(peer)[0] == ASSOCIATE_AC
            stack.enter_context(held.pop_all())
            return peer
    pytest.fail("nobody is let in")


def status(peer: socket.socket) -> int:
    """The status of the response that comes next."""
    kind, content = read_pdu(peer)
    assert kind == P_DATA_TF
    return int.from_bytes(elements(bytes(next(iter(pdvs(content)))[2]))[0x0900], "little")


def data_set(uid: str, length: int) -> bytes:
    """A CT data set in explicit VR little endian with so many bytes of noise as pixels."""

    def element(tag: tuple[int, int], vr: bytes, value: bytes) -> bytes:
        size = len(value).to_bytes(2, "little") if vr == b"UI" else b"\0\0" + len(value).to_bytes(4, "little")
        return tag[0].to_bytes(2, "little") + tag[1].to_bytes(2, "little") + vr + size + value

    uids = {(8, 0x16): CT_IMAGE, (8, 0x18): uid, (0x20, 0x0D): "1.2.3", (0x20, 0x0E): "1.2.3.4"}
    head = b"".join(element(tag, b"UI", text.encode() + b"\0" * (len(text) % 2)) for tag, text in uids.items())
    return head + element((0x7FE0, 0x10), b"OB", Random(length).randbytes(length))


def wait_for(node: Receiving, event: str, count: int = 1) -> list[dict[str, Any]]:
    deadline = time.monotonic() + 60.0
    while len(found := node.events(event)) < count:
        assert time.monotonic() < deadline, f"{len(found)} of {count} {event} were noted"
        time.sleep(0.02)
    return found


@pytest.mark.parametrize("length", [1000, 3_000_000, 9_000_000])
def test_what_comes_over_tls_is_stored_byte_for_byte(hospital: Hospital, tmp_path: Path, length: int) -> None:
    sent = data_set("1.2.3.4.5", length)
    with receiving(tmp_path, tls=hospital.files) as node, secured(node, hospital, hospital.ct1) as peer:
        assert ask(peer)[0] == ASSOCIATE_AC
        peer.sendall(p_data(3, 3, store_rq(1, CT_IMAGE, "1.2.3.4.5")))
        for begin in range(0, len(sent), 100_000):
            piece = sent[begin : begin + 100_000]
            peer.sendall(p_data(3, 2 if begin + len(piece) == len(sent) else 0, piece))
        assert status(peer) == 0
        peer.sendall(pdu(RELEASE_RQ))
        assert read_pdu(peer)[0] == RELEASE_RP
        (stored,) = node.instances()
        assert stored.receipt.length == len(sent)
        container = (tmp_path / stored.location.container).read_bytes()
        assert sent in container


@pytest.mark.parametrize(
    ("rule", "identity", "calling", "alert"),
    [
        ({"names": ["CT1.example.org"]}, "ct1", "CT1", None),
        ({"names": ["ct1.example.org"]}, "ct2", "CT1", "the certificate is for another name"),
        ({"fingerprints": ["ct1"]}, "ct1", "CT1", None),
        ({"fingerprints": ["ct1"]}, "ct2", "CT1", "the certificate is another one"),
        ({"fingerprints": ["ct1"]}, "", "CT1", "no certificate was shown"),
        ({"addresses": ["127.0.0.2", "::1"]}, "ct1", "CT1", "the address is outside its ranges"),
        ({"addresses": ["127.0.0.0/31"], "tls": True}, "", "CT1", None),
    ],
)
def test_a_certificate_stands_behind_a_title(
    hospital: Hospital, tmp_path: Path, rule: dict[str, Any], identity: str, calling: str, alert: str | None
) -> None:
    rule = {name: [hospital.ct1.fingerprint] if name == "fingerprints" else value for name, value in rule.items()}
    settings = {"tls": {**hospital.files, "client": "request"}, "peers": {"CT1": rule}}
    shown = getattr(hospital, identity) if identity else None
    with receiving(tmp_path, **settings) as node, secured(node, hospital, shown) as peer:
        kind, content = ask(peer, calling)
        if alert is None:
            assert kind == ASSOCIATE_AC
            return
        assert (kind, content[1:]) == (ASSOCIATE_RJ, b"\1\1\3")
        (event,) = wait_for(node, "association-rejected")
    assert event["alert"] == "spoofed"
    assert event["reason"] == f"calling AE title CT1 spoofed: {alert}"
    assert (event["peer"], event["tls"]) == ("127.0.0.1", True)


def test_a_title_with_a_certificate_does_not_come_in_plain_text(hospital: Hospital, tmp_path: Path) -> None:
    settings = {"tls": hospital.files, "peers": {"CT1": {"names": ["ct1.example.org"]}}}
    with receiving(tmp_path, **settings) as node, connect(node.port) as peer:
        kind, content = ask(peer)
        assert (kind, content[1:]) == (ASSOCIATE_RJ, b"\1\1\3")
        (event,) = wait_for(node, "association-rejected")
    assert event["reason"] == "calling AE title CT1 spoofed: the connection is without TLS"


def test_a_title_may_be_bound_to_its_address(tmp_path: Path) -> None:
    settings = {"peers": {"CT1": {"addresses": ["127.0.0.2"]}, "*": {"addresses": ["127.0.0.3"], "verbs": ["echo"]}}}
    with receiving(tmp_path, **settings) as node:
        answers = {}
        for source in ("127.0.0.1", "127.0.0.2", "127.0.0.3"):
            for title in ("CT1", "MONITOR"):
                with connect(node.port, source=source) as peer:
                    answers[title, source] = ask(peer, title)[0] == ASSOCIATE_AC
        alerts = [event["alert"] for event in wait_for(node, "association-rejected", 4)]
    assert {case for case, welcome in answers.items() if welcome} == {("CT1", "127.0.0.2"), ("MONITOR", "127.0.0.3")}
    assert sorted(alerts) == ["", "", "spoofed", "spoofed"]


def test_a_title_without_the_verb_may_not_echo(tmp_path: Path) -> None:
    """Its context for Verification is refused by the user (PS3.8 9.3.3.2); the one for CT is accepted."""
    with receiving(tmp_path, peers={"CT1": {"verbs": ["store"]}, "*": {}}) as node:
        results = {}
        for title in ("CT1", "CT2"):
            with connect(node.port) as peer:
                _, content = ask(peer, title)
                results[title] = [value[2] for kind, value in items(content, 68) if kind == 0x21]
    assert results == {"CT1": [1, 0], "CT2": [0, 0]}


def test_the_end_of_what_is_said_is_said(hospital: Hospital, tmp_path: Path) -> None:
    """close_notify after the last word, so that nobody takes a cut for the end (RFC 8446 6.1)."""
    with receiving(tmp_path, tls=hospital.files) as node:
        plain = connect(node.tls_port)
        context = hospital.client(hospital.ct1)
        with context.wrap_socket(plain, server_hostname="localhost", suppress_ragged_eofs=False) as peer:
            assert ask(peer)[0] == ASSOCIATE_AC
            peer.sendall(pdu(RELEASE_RQ))
            assert read_pdu(peer)[0] == RELEASE_RP
            assert peer.recv(1) == b""


def drip(peer: socket.socket, piece: bytes, seconds: float) -> float:
    """Send byte by byte, ten a second; after how many seconds the node hung up."""
    began = time.monotonic()
    peer.settimeout(0.1)
    for position in range(len(piece)):
        try:
            peer.sendall(piece[position : position + 1])
            while True:
                kind, _ = read_pdu(peer)
                assert kind == ABORT
        except TimeoutError:
            assert time.monotonic() - began < seconds, "it was never cut"
        except (Closed, OSError):
            return time.monotonic() - began
    pytest.fail("everything was taken")


STORE = p_data(3, 3, store_rq(1, CT_IMAGE, "1.2.3"))


@pytest.mark.parametrize(
    ("in_association", "beginning", "slow"),
    [
        pytest.param(False, b"", associate_rq(called="DICOMNODE"), id="request"),
        pytest.param(True, b"", STORE, id="command"),
        pytest.param(True, STORE, p_data(3, 2, bytes(60_000)), id="data-set"),
    ],
)
def test_slow_drip_over_tls_is_cut(
    hospital: Hospital, tmp_path: Path, in_association: bool, beginning: bytes, slow: bytes
) -> None:
    with receiving(tmp_path, tls=hospital.files, limits=SLOW) as node:
        with contextlib.ExitStack() as stack:
            peer = welcome(node, hospital, stack, in_association)
            peer.sendall(beginning)
            drip(peer, slow, 60.0)
        with contextlib.ExitStack() as stack:
            welcome(node, hospital, stack)


@pytest.mark.parametrize("said", [b"", b"\x16\x03\x01\x02\x00\x01", b"\x16"])
def test_silence_in_the_handshake_is_cut(hospital: Hospital, tmp_path: Path, said: bytes) -> None:
    with receiving(tmp_path, tls=hospital.files, limits=SILENT) as node, connect(node.tls_port) as peer:
        peer.sendall(said)
        began = time.monotonic()
        with contextlib.suppress(ConnectionError):
            assert peer.recv(1) == b""
        assert time.monotonic() - began < 60.0
        (event,) = wait_for(node, "connection-dropped")
    assert event["reason"] == "no association was asked for within 1 s"


def test_silence_of_an_open_association_is_cut(hospital: Hospital, tmp_path: Path) -> None:
    with (
        receiving(tmp_path, tls=hospital.files, limits=IDLE) as node,
        secured(node, hospital, hospital.ct1) as peer,
    ):
        assert ask(peer)[0] == ASSOCIATE_AC
        assert read_pdu(peer)[0] == ABORT
        (event,) = wait_for(node, "association-closed")
    assert event["reason"] == "nothing came for 1 s"


def test_three_hundred_unfinished_handshakes_keep_nobody_waiting(hospital: Hospital, tmp_path: Path) -> None:
    with receiving(tmp_path, tls=hospital.files) as node, contextlib.ExitStack() as held:
        for number in range(300):
            peer = held.enter_context(connect(node.tls_port, source=f"127.0.0.{2 + number % 8}"))
            peer.sendall(b"\x16\x03\x01\x02\x00\x01" if number % 2 else b"")
        began = time.monotonic()
        with secured(node, hospital, hospital.ct1) as good:
            assert ask(good)[0] == ASSOCIATE_AC
            good.sendall(p_data(1, 3, echo_rq()))
            assert status(good) == 0
        assert time.monotonic() - began < 60.0


def test_a_port_probe_is_no_news(hospital: Hospital, tmp_path: Path) -> None:
    """A monitor that connects and hangs up says nothing about TLS."""
    with receiving(tmp_path, tls=hospital.files) as node:
        connect(node.tls_port).close()
        with connect(node.tls_port) as peer:
            peer.sendall(bytes.fromhex("0100 0000 00cd 0001"))
            with contextlib.suppress(ConnectionError):
                peer.recv(64)
        (event,) = wait_for(node, "connection-dropped")
    assert event["reason"].startswith("TLS: ")
    assert event["more_before"] == 0


def test_a_drain_reaches_associations_over_tls(hospital: Hospital, tmp_path: Path) -> None:
    with receiving(tmp_path, tls=hospital.files) as node, secured(node, hospital, hospital.ct1) as peer:
        assert ask(peer)[0] == ASSOCIATE_AC
        began = time.monotonic()
        node.receiver.stop(drain_seconds=0.2)
        assert read_pdu(peer)[0] == ABORT
        assert time.monotonic() - began < 60.0


def test_the_book_says_which_associations_came_over_tls(tmp_path: Path, hospital: Hospital) -> None:
    with receiving(tmp_path, tls=hospital.files) as node, secured(node, hospital, hospital.ct1) as peer:
        assert ask(peer)[0] == ASSOCIATE_AC
        with contextlib.closing(connect(node.port)) as plain:
            plain.sendall(associate_rq((ECHO,), "DICOMNODE", "CT1"))
            assert read_pdu(plain)[0] == ASSOCIATE_AC
        assert [event["tls"] for event in node.events("association-opened")] == [True, False]
