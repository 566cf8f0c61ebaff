"""A storage SCU of sockets and bytes: opens in a millisecond, sends at the wire's speed, and says what it was told."""

import socket
import ssl
from collections.abc import Iterable
from struct import unpack_from
from types import TracebackType
from typing import Protocol, Self

from support import wire


class Sendable(Protocol):
    """What a C-STORE takes."""

    @property
    def sop_class(self) -> str: ...
    @property
    def sop_uid(self) -> str: ...
    @property
    def transfer_syntax(self) -> str: ...
    @property
    def data_set(self) -> bytes: ...


class Rejected(Exception):
    """An A-ASSOCIATE-RJ; `answer` is its (result, source, diagnostic), PS3.8 9.3.4."""

    def __init__(self, answer: tuple[int, int, int]) -> None:
        super().__init__("/".join(map(str, answer)))
        self.answer = answer


class Modality:
    """One association. Raises Rejected, wire.Closed or OSError (TimeoutError too) at any point."""

    def __init__(
        self,
        port: int,
        called: str,
        calling: str = "MODALITY",
        *,
        contexts: Iterable[wire.Context] = (wire.ECHO, wire.Context(3, wire.CT_IMAGE, (wire.EXPLICIT,))),
        source: str = "127.0.0.1",
        timeout: float = 60.0,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """With `tls` the node's certificate must be for localhost."""
        self.contexts = {context.abstract_syntax: context.identifier for context in contexts}
        self.socket = wire.connect(port, source=source, timeout=timeout)
        if tls is not None:
            self.socket = tls.wrap_socket(self.socket, server_hostname="localhost")
        self._message = 0
        try:
            self.socket.sendall(wire.associate_rq(contexts, called, calling))
            kind, content = wire.read_pdu(self.socket)
            if kind == wire.ASSOCIATE_RJ:
                raise Rejected((content[1], content[2], content[3]))
            if kind != wire.ASSOCIATE_AC:
                raise wire.Closed(f"PDU type {kind}")
        except BaseException:
            self.socket.close()
            raise
        self.accepted = wire.accepted(content)

    def store(self, instance: Sendable) -> int:
        """One C-STORE; the status of its response."""
        self.begin_store(instance, len(instance.data_set))
        return self.status()

    def begin_store(self, instance: Sendable, length: int, *, last: bool = True) -> None:
        """A C-STORE-RQ and the first `length` bytes of its data set, the last one marked so if there it ends."""
        self._message = self._message % 0xFFFF + 1
        context = self.contexts[instance.sop_class]
        command = wire.store_rq(self._message, instance.sop_class, instance.sop_uid)
        self.socket.sendall(wire.p_data(context, wire.COMMAND | wire.LAST, command))
        self.send_data(context, memoryview(instance.data_set)[:length], last=last and length >= len(instance.data_set))

    def send_data(self, context: int, data: bytes | memoryview, *, last: bool) -> None:
        """Data set bytes in as few P-DATA-TF as the peer takes."""
        room = min(self.accepted.max_pdu or 1 << 20, 1 << 20) - 6
        for begin in range(0, max(len(data), 1), room):
            piece = data[begin : begin + room]
            control = wire.LAST if last and begin + room >= len(data) else 0
            head = wire.pdu(wire.P_DATA_TF, b"", 6 + len(piece)) + wire.pdv(context, control, b"")
            head = head[:6] + (2 + len(piece)).to_bytes(4, "big") + head[10:]
            _send_all(self.socket, head, piece)

    def echo(self) -> int:
        """One C-ECHO; the status of its response."""
        self._message = self._message % 0xFFFF + 1
        command = wire.echo_rq(self._message)
        self.socket.sendall(wire.p_data(self.contexts[wire.VERIFICATION], wire.COMMAND | wire.LAST, command))
        return self.status()

    def status(self) -> int:
        """Wait for the next response; its status."""
        command = bytearray()
        # A peer with Nagle's algorithm on answers in two pieces, and holds the second until the first is confirmed.
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        while True:
            kind, content = wire.read_pdu(self.socket)
            if kind != wire.P_DATA_TF:
                raise wire.Closed(f"PDU type {kind}")
            for _, control, fragment in wire.pdvs(content):
                command += fragment
                if control & wire.LAST:
                    return int(unpack_from("<H", wire.elements(bytes(command))[0x0900])[0])

    def release(self) -> None:
        """A-RELEASE, and its answer."""
        self.socket.sendall(wire.pdu(wire.RELEASE_RQ))
        wire.read_pdu(self.socket)
        self.socket.close()

    def abort(self) -> None:
        """A-ABORT, and the end of the connection."""
        try:
            self.socket.sendall(wire.pdu(wire.ABORT))
        finally:
            self.socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is None and self.socket.fileno() >= 0:
            self.release()
        self.socket.close()


def _send_all(peer: socket.socket, head: bytes, piece: bytes | memoryview) -> None:
    if isinstance(peer, ssl.SSLSocket):
        peer.sendall(b"".join((head, piece)))
        return
    sent = peer.sendmsg([head, piece])
    if sent < len(head):
        peer.sendall(head[sent:])
        sent = len(head)
    if sent < len(head) + len(piece):
        peer.sendall(memoryview(piece)[sent - len(head) :])
