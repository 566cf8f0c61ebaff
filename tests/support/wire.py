"""PDUs and command sets by hand (PS3.8 9.3, PS3.7 6.3.1): nothing here checks what it is given, and no library helps.

What attackers, fuzzers and fast senders are made of; it shares no code with the node.
"""

import socket
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from struct import pack, unpack_from

VERIFICATION = "1.2.840.10008.1.1"
IMPLICIT = "1.2.840.10008.1.2"
EXPLICIT = "1.2.840.10008.1.2.1"
CT_IMAGE = "1.2.840.10008.5.1.4.1.1.2"

ASSOCIATE_RQ, ASSOCIATE_AC, ASSOCIATE_RJ, P_DATA_TF, RELEASE_RQ, RELEASE_RP, ABORT = range(1, 8)
"""PDU types (PS3.8 9.3.1)."""

COMMAND, LAST = 0x01, 0x02
"""Bits of a message control header (PS3.8 E.2)."""

C_STORE_RQ, C_ECHO_RQ = 0x0001, 0x0030


class Closed(Exception):
    """The peer ended the connection, by A-ABORT or without a word."""


@dataclass(frozen=True)
class Context:
    """A proposed presentation context; `identifier` is odd (PS3.8 9.3.2.2)."""

    identifier: int
    abstract_syntax: str
    transfer_syntaxes: tuple[str, ...] = (IMPLICIT,)


ECHO = Context(1, VERIFICATION)


def pdu(kind: int, content: bytes = b"\0\0\0\0", length: int | None = None) -> bytes:
    """A PDU; `length` if its header shall say another one."""
    return pack(">BBL", kind, 0, len(content) if length is None else length & 0xFFFFFFFF) + content


def item(kind: int, content: bytes) -> bytes:
    """An item or sub-item of A-ASSOCIATE-RQ."""
    return pack(">BBH", kind, 0, len(content) & 0xFFFF) + content


def associate_rq(
    contexts: Iterable[Context] = (ECHO,),
    called: str = "ANY-SCP",
    calling: str = "ATTACKER",
    max_pdu: int = 131072,
    more_user_items: bytes = b"",
) -> bytes:
    """A whole A-ASSOCIATE-RQ (PS3.8 9.3.2)."""
    proposed = b"".join(_proposed(context) for context in contexts)
    user = item(0x51, pack(">L", max_pdu)) + item(0x52, b"1.2.3.4") + more_user_items
    titles = called.ljust(16).encode() + calling.ljust(16).encode()
    items = item(0x10, b"1.2.840.10008.3.1.1.1") + proposed + item(0x50, user)
    return pdu(ASSOCIATE_RQ, b"\0\1\0\0" + titles + bytes(32) + items)


def _proposed(context: Context) -> bytes:
    syntaxes = b"".join(item(0x40, uid.encode()) for uid in context.transfer_syntaxes)
    return item(
        0x20, pack(">BBBB", context.identifier, 0, 0, 0) + item(0x30, context.abstract_syntax.encode()) + syntaxes
    )


def pdv(context: int, control: int, fragment: bytes) -> bytes:
    """A presentation data value item (PS3.8 9.3.5.1)."""
    return pack(">LBB", len(fragment) + 2, context, control) + fragment


def p_data(context: int, control: int, fragment: bytes) -> bytes:
    """A P-DATA-TF of one presentation data value."""
    return pdu(P_DATA_TF, pdv(context, control, fragment))


def element(number: int, value: bytes) -> bytes:
    """An element of group 0000, implicit VR little endian."""
    return pack("<HHL", 0, number, len(value)) + value


def command_set(elements: bytes) -> bytes:
    """With its group length before it."""
    return element(0x0000, pack("<L", len(elements))) + elements


def echo_rq(message: int = 1) -> bytes:
    """The command set of a C-ECHO-RQ (PS3.7 9.3.5.1)."""
    number = element(0x0110, pack("<H", message))
    return command_set(
        element(0x0002, _even(VERIFICATION)) + element(0x0100, b"\x30\0") + number + element(0x0800, b"\x01\x01")
    )


def store_rq(message: int, sop_class: str, sop_uid: str) -> bytes:
    """The command set of a C-STORE-RQ (PS3.7 9.3.1.1)."""
    numbers = element(0x0100, b"\x01\0") + element(0x0110, pack("<H", message)) + element(0x0700, b"\0\0")
    return command_set(
        element(0x0002, _even(sop_class)) + numbers + element(0x0800, b"\x01\0") + element(0x1000, _even(sop_uid))
    )


def _even(uid: str) -> bytes:
    value = uid.encode()
    return value + b"\0" * (len(value) % 2)


def elements(command: bytes) -> dict[int, bytes]:
    """Values of a command set by element number."""
    found, offset = {}, 0
    while offset + 8 <= len(command):
        _, number, length = unpack_from("<HHL", command, offset)
        found[number] = command[offset + 8 : offset + 8 + length]
        offset += 8 + length
    return found


def pdvs(content: bytes | memoryview) -> Iterator[tuple[int, int, bytes | memoryview]]:
    """(context, control, fragment) of each presentation data value in the content of a P-DATA-TF."""
    offset = 0
    while offset < len(content):
        length, context, control = unpack_from(">LBB", content, offset)
        yield context, control, content[offset + 6 : offset + 4 + length]
        offset += 4 + length


@dataclass(frozen=True)
class Accepted:
    """What an A-ASSOCIATE-AC says: the transfer syntax of each accepted context, and the longest P-DATA-TF it takes."""

    syntaxes: dict[int, str]
    max_pdu: int


def items(content: bytes, offset: int = 0) -> Iterator[tuple[int, bytes]]:
    """(type, content) of each item."""
    while offset + 4 <= len(content):
        kind, _, length = unpack_from(">BBH", content, offset)
        yield kind, content[offset + 4 : offset + 4 + length]
        offset += 4 + length


def accepted(content: bytes) -> Accepted:
    """Read the content of an A-ASSOCIATE-AC (PS3.8 9.3.3)."""
    syntaxes, max_pdu = {}, 0
    for kind, value in items(content, 68):
        if kind == 0x21 and value[2] == 0:
            syntaxes[value[0]] = next(uid.rstrip(b"\0").decode() for sub, uid in items(value, 4) if sub == 0x40)
        elif kind == 0x50:
            max_pdu = next((unpack_from(">L", length)[0] for sub, length in items(value) if sub == 0x51), 0)
    return Accepted(syntaxes, max_pdu)


def read_pdu(peer: socket.socket) -> tuple[int, bytes]:
    """(type, content) of the next PDU. Raises Closed, TimeoutError."""
    kind, _, length = unpack_from(">BBL", read(peer, 6))
    return kind, read(peer, length)


def read(peer: socket.socket, length: int) -> bytes:
    """Exactly so many bytes. Raises Closed, TimeoutError."""
    parts, wanted = [], length
    while wanted:
        try:
            part = peer.recv(min(wanted, 1 << 20))
        except ConnectionError as error:
            raise Closed(str(error)) from error
        if not part:
            raise Closed("end of stream")
        parts.append(part)
        wanted -= len(part)
    return b"".join(parts)


def connect(port: int, *, source: str = "127.0.0.1", timeout: float = 60.0) -> socket.socket:
    """A connection to this port of the loopback from one of its addresses (any of 127.0.0.0/8)."""
    peer = socket.create_connection(("127.0.0.1", port), timeout, source_address=(source, 0))
    peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return peer
