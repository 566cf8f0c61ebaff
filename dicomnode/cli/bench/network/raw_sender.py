"""A C-STORE sender that does not limit what it measures. Run as a file, with the standard library alone.

The order comes as JSON on standard input, the outcome goes as JSON to standard output. Each association is a process
of its own and has one message, command set and data set already cut into P-DATA-TF PDUs in one buffer: for the next
instance it writes another UID over the last one, sends all by one call and waits for the whole response PDU.
"""

import contextlib
import json
import os
import resource
import socket
import struct
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any

STUDY, SERIES, INSTANCE = (f"2.25.1{kind:038d}" for kind in (1, 2, 3))
"""UIDs of the template: those of an instance that is sent are as long, and take their places."""

NUMBER = b"\x20\x00\x13\x00IS\x06\x00"
"""What stands before the six characters of Instance Number, explicit VR little endian."""

_LARGEST_PDU = 131072
_TIMEOUT = 120.0
_PDV = struct.Struct(">BxIIBB")
_STATUS = 0x0900


class Failed(Exception):
    """The peer did not do as it should; the message is a plain sentence."""


def uid(stamp: int, kind: int, association: int, serial: int) -> str:
    """A UID of 44 characters (PS3.5 B.2): `stamp` in nanoseconds sets apart one run from the next."""
    return f"2.25.1{stamp:019d}{kind:01d}{association:04d}{serial:014d}"


def item(kind: int, content: bytes) -> bytes:
    """An item of an association PDU: type, length in 16 bits, content (PS3.8 9.3.2)."""
    return struct.pack(">BxH", kind, len(content)) + content


def associate_rq(called: str, calling: str, sop_class: str, transfer_syntax: str) -> bytes:
    """A-ASSOCIATE-RQ with one presentation context, ID 1 (PS3.8 9.3.2)."""
    context = bytes((1, 0, 0, 0)) + item(0x30, sop_class.encode()) + item(0x40, transfer_syntax.encode())
    user = item(0x51, struct.pack(">I", _LARGEST_PDU)) + item(0x52, b"2.25.1")
    body = struct.pack(">HH16s16s32x", 1, 0, called.encode().ljust(16), calling.encode().ljust(16))
    body += item(0x10, b"1.2.840.10008.3.1.1.1") + item(0x20, context) + item(0x50, user)
    return struct.pack(">BxI", 1, len(body)) + body


def command_set(sop_class: str) -> bytes:
    """C-STORE-RQ for the template's instance, message ID 0 (PS3.7 9.3.1.1)."""
    elements = b"".join(
        struct.pack("<HHI", 0, number, len(value) + len(value) % 2) + value + bytes(len(value) % 2)
        for number, value in (
            (0x0002, sop_class.encode()),
            (0x0100, b"\x01\x00"),
            (0x0110, b"\x00\x00"),
            (0x0700, b"\x00\x00"),
            (0x0800, b"\x01\x00"),
            (0x1000, INSTANCE.encode()),
        )
    )
    return struct.pack("<HHII", 0, 0, 4, len(elements)) + elements


def cut(command: bytes, data_set: bytes, largest: int) -> bytearray:
    """The message as P-DATA-TF PDUs of one PDV each, none with more than `largest` bytes behind its header."""
    room = (largest - 6) & ~1
    message = bytearray(_PDV.pack(4, len(command) + 6, len(command) + 2, 1, 3) + command)
    for begin in range(0, len(data_set), room):
        piece = data_set[begin : begin + room]
        last = 2 if begin + room >= len(data_set) else 0
        message += _PDV.pack(4, len(piece) + 6, len(piece) + 2, 1, last)
        message += piece
    return message


class Message:
    """The one message of an association; `of` makes it another instance's."""

    def __init__(self, order: Mapping[str, Any], association: int, largest: int) -> None:
        self._stamp, self._association = int(order["stamp"]), association
        with open(order["template"], "rb") as file:  # noqa: PTH123 - pathlib is ten times this program's start
            data_set = file.read()
        for kind, old in ((1, STUDY), (2, SERIES)):
            data_set = data_set.replace(old.encode(), uid(self._stamp, kind, association, 0).encode(), 1)
        command = command_set(order["sop_class"])
        self._buffer = cut(command, data_set, largest)
        self._uids = list(_places(self._buffer, INSTANCE.encode()))
        self._message_id = self._buffer.index(struct.pack("<HHI", 0, 0x0110, 2)) + 8
        self._number = self._buffer.index(NUMBER) + len(NUMBER)
        if len(self._uids) != 2:
            raise Failed("the template does not name its instance where it should")

    def of(self, serial: int) -> bytearray:
        """The buffer for this instance, from 1; it is the same buffer every time."""
        name = uid(self._stamp, 3, self._association, serial).encode()
        for place in self._uids:
            self._buffer[place : place + len(name)] = name
        self._buffer[self._message_id : self._message_id + 2] = struct.pack("<H", (serial - 1) % 0xFFFF + 1)
        self._buffer[self._number : self._number + 6] = b"%-6d" % (serial % 1_000_000)
        return self._buffer


class Association:
    """An association with one presentation context. Raises Failed and OSError."""

    def __init__(self, order: Mapping[str, Any]) -> None:
        self._socket = socket.create_connection((order["host"], order["port"]), _TIMEOUT)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        names = (order["called"], order["calling"], order["sop_class"], order["transfer_syntax"])
        self._socket.sendall(associate_rq(*names))
        kind, answer = self._pdu()
        if kind != 2:
            raise Failed(f"the peer answered the association request with a PDU of type {kind}")
        self.largest = min(_peer_limit(answer) or _LARGEST_PDU, _LARGEST_PDU)

    def store(self, message: bytearray) -> int:
        """Send one message; the status of the response."""
        self._socket.sendall(message)
        kind, response = self._pdu()
        if kind != 4:
            raise Failed(f"the peer answered a C-STORE with a PDU of type {kind}")
        return status_of(response)

    def release(self) -> None:
        """A-RELEASE-RQ, its answer, and the end of the connection."""
        self._socket.sendall(struct.pack(">BxII", 5, 4, 0))
        self._pdu()
        self._socket.close()

    def _pdu(self) -> tuple[int, bytes]:
        received = self._socket.recv(65536)
        while len(received) < 6 or len(received) < 6 + int.from_bytes(received[2:6], "big"):
            more = self._socket.recv(65536)
            if not more:
                raise Failed("the peer closed the connection")
            received += more
        return received[0], received[6:]


def status_of(response: bytes) -> int:
    """Status (0000,0900) of a response that came as one PDV, whose header is six bytes. Raises Failed."""
    at = 6
    while at + 10 <= len(response):
        number, length = struct.unpack_from("<2xHI", response, at)
        if number == _STATUS:
            return int.from_bytes(response[at + 8 : at + 10], "little")
        at += 8 + length
    raise Failed("the peer answered a C-STORE without a status")


def _peer_limit(answer: bytes) -> int:
    """The peer's maximum length, behind the fixed part of A-ASSOCIATE-AC; raises Failed without the context."""
    at = 68
    found, accepted = 0, False
    while at + 4 <= len(answer):
        kind, length = struct.unpack_from(">BxH", answer, at)
        if kind == 0x21:
            accepted = answer[at + 6] == 0
        if kind == 0x50:
            at, length = at, 0  # its own items follow
        if kind == 0x51:
            found = int.from_bytes(answer[at + 4 : at + 8], "big")
        at += 4 + length
    if not accepted:
        raise Failed("the peer did not accept the presentation context")
    return found


def _places(buffer: bytearray, wanted: bytes) -> Iterator[int]:
    at = buffer.find(wanted)
    while at >= 0:
        yield at
        at = buffer.find(wanted, at + 1)


class Tally:
    """What one association did: statuses, milliseconds for each instance, and when the last response was there."""

    def __init__(self) -> None:
        self.statuses: Counter[str] = Counter()
        self.milliseconds: list[float] = []
        self.ended = 0.0

    def count(self, status: int, began: float) -> None:
        self.ended = time.perf_counter()
        self.statuses[f"{status:04X}"] += 1
        self.milliseconds.append(1000 * (self.ended - began))


Barrier = Callable[[], None]
"""Says that all is ready, and returns when every association is."""


def store_all(order: Mapping[str, Any], number: int, serials: range, barrier: Barrier) -> Tally:
    """Every instance over one association, which is open before the clock starts and released when it has stopped."""
    association = Association(order)
    message = Message(order, number, association.largest)
    tally = Tally()
    barrier()
    for serial in serials:
        began = time.perf_counter()
        tally.count(association.store(message.of(serial)), began)
    association.release()
    return tally


def store_each(order: Mapping[str, Any], number: int, serials: range, barrier: Barrier) -> Tally:
    """Every instance over an association of its own: connect, associate, store, release, close."""
    probe = Association(order)
    probe.release()
    message = Message(order, number, probe.largest)
    tally = Tally()
    barrier()
    for serial in serials:
        began = time.perf_counter()
        association = Association(order)
        status = association.store(message.of(serial))
        association.release()
        tally.count(status, began)
    return tally


def start(order: Mapping[str, Any], number: int, serials: range) -> "Sending":
    """Fork the process of one association."""
    ready, go, outcome = os.pipe(), os.pipe(), os.pipe()
    pid = os.fork()
    if pid:
        for unused in (ready[1], go[0], outcome[1]):
            os.close(unused)
        return Sending(pid, ready[0], go[1], outcome[0])

    def barrier() -> None:
        os.write(ready[1], b"r")
        os.read(go[0], 1)

    store = store_each if order["each"] else store_all
    try:
        tally = store(order, number, serials, barrier)
        told = {"statuses": tally.statuses, "milliseconds": tally.milliseconds, "ended": tally.ended}
    except (Failed, OSError, ValueError) as error:
        told = {"error": str(error) or type(error).__name__}
    with os.fdopen(outcome[1], "w") as pipe:
        json.dump(told, pipe)
    os._exit(0)


class Sending:
    """The process of one association, seen from the parent's side."""

    def __init__(self, pid: int, ready: int, go: int, outcome: int) -> None:
        self._pid, self._ready, self._go, self._outcome = pid, ready, go, outcome

    def wait_ready(self) -> None:
        """Return when it is ready, or has ended."""
        os.read(self._ready, 1)

    def let_go(self) -> None:
        """Start it; one that has ended already tells by its outcome."""
        with contextlib.suppress(BrokenPipeError):
            os.write(self._go, b"g")

    def outcome(self) -> dict[str, Any]:
        with os.fdopen(self._outcome) as pipe:
            told = pipe.read()
        os.waitpid(self._pid, 0)
        return dict(json.loads(told)) if told else {"error": "a sender ended without a word"}


def run(order: Mapping[str, Any]) -> dict[str, Any]:
    """Carry out an order; the seconds are those from the start of the first message to the last response."""
    sendings = []
    for number in range(order["associations"]):
        first = 1 + number * order["instances"] // order["associations"]
        last = (number + 1) * order["instances"] // order["associations"]
        sendings.append(start(order, number, range(first, last + 1)))
    for sending in sendings:
        sending.wait_ready()
    began = time.perf_counter()
    for sending in sendings:
        sending.let_go()
    outcomes = [sending.outcome() for sending in sendings]
    errors = [outcome["error"] for outcome in outcomes if "error" in outcome]
    if errors:
        return {"error": errors[0]}
    statuses: Counter[str] = Counter()
    for outcome in outcomes:
        statuses.update(outcome["statuses"])
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return {
        "seconds": max(outcome["ended"] for outcome in outcomes) - began,
        "statuses": statuses,
        "milliseconds": sorted(each for outcome in outcomes for each in outcome["milliseconds"]),
        "cpu_seconds": usage.ru_utime + usage.ru_stime,
    }


if __name__ == "__main__":
    json.dump(run(json.load(sys.stdin)), sys.stdout)
