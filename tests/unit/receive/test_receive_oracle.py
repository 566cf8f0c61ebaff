"""The receiver against pynetdicom's own: the same bytes go to both, and both must say and store the same."""

import contextlib
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from struct import pack

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support import wire
from support.oracle import Oracle, oracle
from support.receiving import Receiving, receiving

from dicomnode.receive.limits import Limits
from dicomnode.store.members import InstanceMember
from dicomnode.store.reading import read_bytes

CT, MR = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.4"
CONTEXTS = (
    wire.ECHO,
    wire.Context(3, CT, (wire.EXPLICIT,)),
    wire.Context(5, MR, (wire.IMPLICIT,)),
    wire.Context(7, "1.2.840.10008.5.1.4.1.2.2.1", (wire.IMPLICIT,)),  # a query: neither takes it
    wire.Context(9, CT, (wire.IMPLICIT,)),
)
KINDS = (*["store"] * 6, "echo", "wrong instance", "wrong class", "noise", "no UID")
SMALL = Limits(memory_bytes=6000, max_pdu=16384, artim_seconds=60.0)
"""Larger data sets go to disk as they come: the tests draw both kinds."""


@dataclass(frozen=True)
class Message:
    """A request as it goes out: PDUs, each sent in one piece or several."""

    pdus: tuple[bytes, ...]
    cuts: tuple[int, ...]

    def send(self, peer: socket.socket) -> None:
        stream, begin = b"".join(self.pdus), 0
        for end in [*sorted({cut % (len(stream) + 1) for cut in self.cuts}), len(stream)]:
            peer.sendall(stream[begin:end])
            begin = end


def element(tag: int, vr: bytes, value: bytes, explicit: bool) -> bytes:
    value += b"\0" * (len(value) % 2)
    group, number = tag >> 16, tag & 0xFFFF
    if not explicit:
        return pack("<HHL", group, number, len(value)) + value
    if vr == b"OW":
        return pack("<HH2sHL", group, number, vr, 0, len(value)) + value
    return pack("<HH2sH", group, number, vr, len(value)) + value


def data_set(sop_class: str, sop_uid: str, pixels: bytes, explicit: bool) -> bytes:
    uids = {0x00080016: sop_class, 0x00080018: sop_uid, 0x0020000D: "1.2.1", 0x0020000E: "1.2.2"}
    header = b"".join(element(tag, b"UI", uid.encode(), explicit) for tag, uid in uids.items())
    return header + element(0x7FE00010, b"OW", pixels, explicit)


@st.composite
def pieces(draw: st.DrawFn, whole: bytes, largest: int) -> list[bytes]:
    """`whole` in fragments of drawn sizes, some of them empty."""
    sizes = draw(st.lists(st.integers(0, largest), min_size=0, max_size=6))
    found, begin = [], 0
    for size in sizes:
        found.append(whole[begin : begin + size])
        begin += size
    found += [whole[at : at + largest] for at in range(begin, len(whole), largest)]
    return found or [b""]


@st.composite
def messages(draw: st.DrawFn, number: int) -> Message:
    """A C-ECHO, or a C-STORE of one of several kinds, cut into PDVs, and these packed into PDUs, in any way."""
    kind = draw(
        st.sampled_from(["echo", "store", "store", "store", "wrong instance", "wrong class", "noise", "no UID"])
    )
    context, data = CONTEXTS[0], None
    command = wire.echo_rq(number)
    if kind != "echo":
        context = draw(st.sampled_from([CONTEXTS[1], CONTEXTS[2], CONTEXTS[4]]))
        sop_uid = f"1.2.3.{draw(st.integers(1, 9999))}"
        pixels = draw(st.binary(min_size=20, max_size=20)) * draw(st.sampled_from((0, 3, 150, 450, 2000)))
        explicit = context.transfer_syntaxes[0] == wire.EXPLICIT
        data = data_set(context.abstract_syntax, sop_uid, pixels, explicit)
        data = draw(st.binary(max_size=200)) if kind == "noise" else data
        named = {"wrong instance": "1.2.3.4.5", "no UID": "not.a.uid"}.get(kind, sop_uid)
        sop_class = "1.2.840.10008.5.1.4.1.1.7" if kind == "wrong class" else context.abstract_syntax
        command = wire.store_rq(number, sop_class, named)
    fragments = [(wire.COMMAND, piece) for piece in draw(pieces(command, 400))]
    if data is not None:
        fragments = marked(fragments) + marked([(0, piece) for piece in draw(pieces(data, 4000))])
    else:
        fragments = marked(fragments)
    values = [wire.pdv(context.identifier, control, piece) for control, piece in fragments]
    return Message(tuple(draw(packed(values))), tuple(draw(st.lists(st.integers(0, 100_000), max_size=5))))


def marked(fragments: list[tuple[int, bytes]]) -> list[tuple[int, bytes]]:
    """The last one says that it is the last."""
    return [*fragments[:-1], (fragments[-1][0] | wire.LAST, fragments[-1][1])]


@st.composite
def packed(draw: st.DrawFn, values: list[bytes]) -> list[bytes]:
    """Presentation data values in PDUs of up to 16 KB: one by one, or as many as were drawn together."""
    pdus, content = [], b""
    for value in values:
        if content and (len(content) + len(value) > 16384 or draw(st.booleans())):
            pdus.append(wire.pdu(wire.P_DATA_TF, content))
            content = b""
        content += value
    return [*pdus, wire.pdu(wire.P_DATA_TF, content)]


@st.composite
def conversations(draw: st.DrawFn) -> tuple[list[Message], str]:
    count = draw(st.integers(2, 6))
    return [draw(messages(number + 1)) for number in range(count)], draw(st.sampled_from(["release", "abort", "close"]))


def converse(port: int, said: list[Message], end: str) -> list[object]:
    """Everything the peer said: accepted contexts, each response's elements, and how it took the end."""
    heard: list[object] = []
    with contextlib.closing(wire.connect(port)) as peer:
        peer.sendall(wire.associate_rq(CONTEXTS, called="DICOMNODE", calling="MODALITY", max_pdu=16384))
        kind, content = wire.read_pdu(peer)
        heard.append((kind, wire.accepted(content).syntaxes))
        for message in said:
            message.send(peer)
            heard.append(response(peer))
        if end == "release":
            peer.sendall(wire.pdu(wire.RELEASE_RQ))
            heard.append(wire.read_pdu(peer))
        elif end == "abort":
            peer.sendall(wire.pdu(wire.ABORT))
    return heard


def response(peer: socket.socket) -> tuple[int, dict[int, bytes]]:
    """Context and elements of the next response; Error Comment is free text, and not compared."""
    command = b""
    while True:
        kind, content = wire.read_pdu(peer)
        assert kind == wire.P_DATA_TF
        for context, control, fragment in wire.pdvs(content):
            command += bytes(fragment)
            if control == wire.COMMAND | wire.LAST:
                found = wire.elements(command)
                return context, {number: found[number].rstrip(b"\0") for number in found if number not in (0, 0x0902)}


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Receiving]:
    with receiving(tmp_path_factory.mktemp("ours"), limits=SMALL) as node:
        yield node


@pytest.fixture(scope="module")
def scp(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Oracle]:
    with oracle(tmp_path_factory.mktemp("theirs"), [CT, MR], [wire.EXPLICIT, wire.IMPLICIT]) as scp:
        yield scp


@given(conversation=conversations())
@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
def test_both_say_and_store_the_same(node: Receiving, scp: Oracle, conversation: tuple[list[Message], str]) -> None:
    said, end = conversation
    node.news()
    scp.data_sets.clear()
    ours, theirs = converse(node.port, said, end), converse(scp.port, said, end)
    assert ours == theirs
    stored = [member for member in node.news() if isinstance(member, InstanceMember)]
    kept = {read_bytes(node.root, m.location)[-m.receipt.length :] for m in stored}
    succeeded = [answer for answer in ours[1:] if isinstance(answer, tuple) and is_success(answer)]
    assert len(stored) == len(succeeded)
    assert kept <= set(scp.data_sets)


def is_success(answer: tuple[object, object]) -> bool:
    found = answer[1]
    return isinstance(found, dict) and found.get(0x0100) == b"\x01\x80" and found.get(0x0900) in (b"\0\0", b"")
