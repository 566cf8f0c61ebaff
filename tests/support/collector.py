"""A syslog collector: takes RFC 5424 messages framed by octet counting, over TLS or without."""

import contextlib
import socket
import ssl
import threading
import time
from types import TracebackType
from typing import Self

from support.certificates import Identity


class Collector:
    """Listens on a port of its own from `with` on. `messages`: what came, whole ones only, over all connections."""

    def __init__(self, identity: Identity | None = None, port: int = 0) -> None:
        self.messages: list[bytes] = []
        self._context: ssl.SSLContext | None = None
        if identity is not None:
            self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._context.load_cert_chain(identity.cert, identity.key)
        self._listener = socket.create_server(("127.0.0.1", port))
        self._open: list[socket.socket] = []
        self._lock, self._gone = threading.Lock(), False
        self.port = int(self._listener.getsockname()[1])

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """It is gone at once, connections included."""
        with self._lock:
            self._gone = True
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.hang_up()

    def hang_up(self) -> None:
        with self._lock:
            for each in self._open:
                with contextlib.suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)
                each.close()
            self._open.clear()

    def wait_for(self, count: int) -> list[bytes]:
        """The messages, once there are so many."""
        deadline = time.monotonic() + 60
        while len(self.messages) < count:
            assert time.monotonic() < deadline, f"{len(self.messages)} of {count} messages came"
            time.sleep(0.01)
        return self.messages

    def _accept(self) -> None:
        while True:
            try:
                plain, _ = self._listener.accept()
            except OSError:
                return
            try:
                peer = self._context.wrap_socket(plain, server_side=True) if self._context else plain
            except OSError:
                plain.close()
                continue
            with self._lock:
                if self._gone:  # it was accepted as the others were hung up on
                    peer.close()
                    return
                self._open.append(peer)
            threading.Thread(target=self._read, args=(peer,), daemon=True).start()

    def _read(self, peer: socket.socket) -> None:
        with peer, peer.makefile("rb") as stream:
            try:
                while length := _length(stream):
                    message = stream.read(length)
                    if len(message) == length:
                        self.messages.append(message)
            except (OSError, ValueError):
                return


def _length(stream: object) -> int:
    digits = b""
    while (byte := stream.read(1)) not in (b" ", b""):  # type: ignore[attr-defined]
        digits += byte
    return int(digits) if digits else 0
