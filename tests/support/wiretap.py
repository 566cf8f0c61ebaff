"""A tap on the wire before a Storage SCP: every byte passes as it came, and what was said is read afterwards.

Unlike the proxy of support/proxy.py it changes nothing, not even the pieces in which TCP delivered: a sender's delays
reach the receiver. Loopback only.
"""

import contextlib
import hashlib
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from struct import unpack_from
from types import TracebackType
from typing import Self

from support import wire
from support.peers import free_port


@dataclass(frozen=True)
class Overheard:
    """One C-STORE as it was on the wire; `sha256` is of its data set's bytes, `status` None if there was no answer."""

    sop_uid: str
    transfer_syntax: str
    sha256: str
    length: int
    status: int | None


@dataclass
class Recording:
    """Both directions of one connection."""

    said: bytearray = field(default_factory=bytearray)
    answered: bytearray = field(default_factory=bytearray)

    def stores(self) -> list[Overheard]:
        """Every C-STORE whose data set came to its end."""
        syntaxes = self.association().syntaxes
        statuses = {
            unpack_from("<H", command[0x0120])[0]: unpack_from("<H", command[0x0900])[0]
            for _, command, _ in _messages(self.answered)
        }
        return [
            Overheard(
                command[0x1000].rstrip(b"\0 ").decode("ascii"),
                syntaxes[context],
                hashlib.sha256(data_set).hexdigest(),
                len(data_set),
                statuses.get(unpack_from("<H", command[0x0110])[0]),
            )
            for context, command, data_set in _messages(self.said)
            if unpack_from("<H", command[0x0100])[0] == wire.C_STORE_RQ
        ]

    def association(self) -> wire.Accepted:
        """What the A-ASSOCIATE-AC said."""
        kind, content = next(_pdus(self.answered))
        assert kind == wire.ASSOCIATE_AC, f"the association was answered by a PDU of type {kind}"
        return wire.accepted(bytes(content))

    def data_pdus(self) -> list[int]:
        """Lengths, as their headers say, of the P-DATA-TF that the sender sent."""
        return [len(content) for kind, content in _pdus(self.said) if kind == wire.P_DATA_TF]


class Wiretap:
    """Listens on `port` and passes everything to `127.0.0.1:upstream`. Use in a `with` statement."""

    def __init__(self, upstream: int) -> None:
        self.port = free_port()
        self.recordings: list[Recording] = []
        self._upstream = upstream
        self._listener = socket.create_server(("127.0.0.1", self.port))
        self._open = 0
        self._lock = threading.Lock()

    def finished(self, seconds: float = 60.0) -> list[Recording]:
        """What was recorded, once every connection is over."""
        deadline = time.monotonic() + seconds
        while self._open:
            assert time.monotonic() < deadline, "a connection stays open"
            time.sleep(0.01)
        return self.recordings

    def _accept(self) -> None:
        while True:
            try:
                sender, _ = self._listener.accept()
            except OSError:
                return
            receiver = socket.create_connection(("127.0.0.1", self._upstream), 60.0)
            receiver.settimeout(None)
            recording = Recording()
            self.recordings.append(recording)
            for source, sink, record in ((sender, receiver, recording.said), (receiver, sender, recording.answered)):
                sink.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                with self._lock:
                    self._open += 1
                threading.Thread(target=self._pass, args=(source, sink, record), daemon=True).start()

    def _pass(self, source: socket.socket, sink: socket.socket, record: bytearray) -> None:
        try:
            while piece := source.recv(1 << 20):
                record += piece
                sink.sendall(piece)
        except OSError:
            pass
        finally:
            with contextlib.suppress(OSError):
                sink.shutdown(socket.SHUT_WR)
            with self._lock:
                self._open -= 1

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


def _pdus(stream: bytearray) -> Iterator[tuple[int, memoryview]]:
    """(type, content) of each whole PDU."""
    view, offset = memoryview(bytes(stream)), 0
    while offset + 6 <= len(view):
        kind, _, length = unpack_from(">BBL", view, offset)
        if offset + 6 + length > len(view):
            return
        yield kind, view[offset + 6 : offset + 6 + length]
        offset += 6 + length


def _messages(stream: bytearray) -> Iterator[tuple[int, dict[int, bytes], bytes]]:
    """(context, command, data set) of each whole DIMSE message; one without a data set has an empty one."""
    parts: dict[bool, bytearray] = {True: bytearray(), False: bytearray()}
    command: dict[int, bytes] = {}
    for kind, content in _pdus(stream):
        for context, control, fragment in wire.pdvs(content) if kind == wire.P_DATA_TF else ():
            is_command = bool(control & wire.COMMAND)
            parts[is_command] += fragment
            if not control & wire.LAST:
                continue
            whole = bytes(parts[is_command])
            parts[is_command].clear()
            if is_command:
                command = wire.elements(whole)
            if not is_command or command[0x0800] == b"\x01\x01":
                yield context, command, b"" if is_command else whole
