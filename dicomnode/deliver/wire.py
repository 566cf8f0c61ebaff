"""PDUs on a socket, with a deadline on every wait (PS3.8 9.3). One thread, blocking, no queue in between."""

import contextlib
import fcntl
import socket
import ssl
import struct
import sys
import termios
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import TypeVar

from dicomnode.deliver.content import DataSet
from dicomnode.deliver.destination import Destination
from dicomnode.deliver.outcome import AssociationFailed, FailureKind
from dicomnode.deliver.tls import alert_behind, client_context, in_words, is_refusal
from dicomnode.domain.tls import TlsUnusable

MAX_PDU_LENGTH = 131_072
"""The longest P-DATA-TF we take (announced) and, towards a peer that sets no limit, write."""

_PDU_HEADER = struct.Struct(">BxI")
_PDV_HEADER = struct.Struct(">IBB")
_HEADERS = struct.Struct(">BxIIBB")  # both, of a PDU with one value
_P_DATA_TF = 0x04
_COMMAND, _LAST = 0x01, 0x02
_BUFFERS_PER_CALL = 512  # below Linux' IOV_MAX of 1024
_TLS_BYTES_PER_CALL = 65_536  # four records
_STOP_LATENCY = 0.2
_TCP_QUICKACK = getattr(socket, "TCP_QUICKACK", None)  # Linux only

_T = TypeVar("_T")


class Wire:
    """A connected TCP socket, with TLS or without, that reads and writes whole PDUs.

    Every method raises AssociationFailed: TIMEOUT where the peer was silent or too slow, CONNECTION where the
    connection broke, CONFIGURATION where one side refuses the other's TLS, STOPPED within a fraction of a second of
    `stop` being set.
    """

    def __init__(self, sock: socket.socket, stop: threading.Event) -> None:
        # Nagle's algorithm against a peer's delayed acknowledgement costs 40 ms on every C-STORE.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.settimeout(_STOP_LATENCY)
        self._socket, self._stop = sock, stop
        self._send = partial(_send_joined, sock) if isinstance(sock, ssl.SSLSocket) else sock.sendmsg
        self._inside_pdu = False

    @classmethod
    def connect(cls, destination: Destination, timeout: float, stop: threading.Event) -> "Wire":
        """Open the connection, or raise AssociationFailed in words that name the destination."""
        try:
            context = client_context(destination.tls.files) if destination.tls else None
            sock = socket.create_connection((destination.host, destination.port), timeout)
        except TlsUnusable as error:
            reason = f"configuration error: {destination} cannot be reached over TLS: {error}"
            raise AssociationFailed(FailureKind.CONFIGURATION, reason, transient=True) from error
        except TimeoutError as error:
            reason = f"{destination} did not answer the connection within {timeout:g} s"
            raise AssociationFailed(FailureKind.TIMEOUT, reason, transient=True) from error
        except (socket.gaierror, UnicodeError) as error:
            reason = f"the host name of {destination} cannot be resolved"
            raise AssociationFailed(FailureKind.NAME, reason, transient=True) from error
        except OSError as error:
            reason = f"cannot connect to {destination}: {error.strerror or error}"
            raise AssociationFailed(FailureKind.CONNECTION, reason, transient=True) from error
        return cls(sock, stop) if context is None else cls._secured(sock, context, destination, timeout, stop)

    @classmethod
    def _secured(
        cls,
        sock: socket.socket,
        context: ssl.SSLContext,
        destination: Destination,
        timeout: float,
        stop: threading.Event,
    ) -> "Wire":
        """The wire after the TLS handshake, which may be silent for `timeout` at most."""
        name = (destination.tls and destination.tls.server_name) or destination.host
        tls_sock = context.wrap_socket(sock, server_hostname=name, do_handshake_on_connect=False)
        wire = cls(tls_sock, stop)
        try:
            wire._wait(tls_sock.do_handshake, wire._silence(timeout))
        except AssociationFailed as failure:
            wire.close()
            reason = f"no TLS with {destination}: {failure.reason}"
            raise AssociationFailed(failure.kind, reason, transient=failure.transient) from failure
        return wire

    def write(self, pdu: bytes, timeout: float) -> None:
        """Write one encoded PDU."""
        self._write_all([memoryview(pdu)], timeout)

    def write_message(
        self, context_id: int, command_set: bytes, data_set: DataSet | None, peer_limit: int, timeout: float
    ) -> None:
        """Write a DIMSE message as P-DATA-TF PDUs within the peer's maximum length (PS3.8 9.3.5, Annex E).

        `timeout` bounds the time without progress, not the whole transfer. Raises also what reading the data set
        raises, then at the end of a PDU.
        """
        step = _fragment_length(peer_limit)
        buffers = _fragments(context_id, memoryview(command_set), _COMMAND, step, last=True)
        for piece, last in data_set.pieces(step) if data_set is not None else ():
            buffers += _fragments(context_id, piece, 0, step, last=last)
            self._write_all(buffers, timeout)
            buffers = []
        self._write_all(buffers, timeout)

    def read(self, timeout: float, whole: float | None = None) -> tuple[int, bytes]:
        """The next PDU as (type, content): it begins within `timeout` seconds, and `whole` seconds later it is whole.

        `whole` is `timeout` unless given. MAX_PDU_LENGTH in 60 s are 2 KiB/s: images go over faster lines.
        """
        header = self._receive(_PDU_HEADER.size, self._silence(timeout))
        deadline = _Deadline(timeout if whole is None else whole)
        header += self._read_exactly(_PDU_HEADER.size - len(header), deadline)
        pdu_type, length = _PDU_HEADER.unpack(header)
        if length > MAX_PDU_LENGTH:
            raise AssociationFailed(FailureKind.PROTOCOL, f"a PDU of {length} bytes came", transient=True)
        return pdu_type, self._read_exactly(length, deadline)

    def write_last(self, pdu: bytes) -> None:
        """Write one small PDU if the connection takes it at once. Never raises: for A-ABORT, whatever went wrong.

        Not inside another PDU: the peer would take it for the end of a data set.
        """
        if not self._inside_pdu:
            with contextlib.suppress(OSError):
                self._socket.send(pdu)

    def close(self) -> None:
        """Close the connection. Never raises."""
        if isinstance(self._socket, ssl.SSLSocket):
            with contextlib.suppress(OSError, ValueError):
                self._socket.settimeout(0)
                self._socket.unwrap()  # says close_notify (RFC 8446 6.1), and waits for none
        self._socket.close()

    def _write_all(self, buffers: list[memoryview], timeout: float) -> None:
        self._inside_pdu = True
        first = 0
        while first < len(buffers):
            window = buffers[first : first + _BUFFERS_PER_CALL]
            sent = self._wait(partial(self._send, window), self._silence(timeout))
            while sent and sent >= len(buffers[first]):
                sent -= len(buffers[first])
                first += 1
            if sent:
                buffers[first] = buffers[first][sent:]
        self._inside_pdu = False

    def _read_exactly(self, length: int, deadline: "_Deadline") -> bytes:
        received = bytearray()
        while len(received) < length:
            if deadline.too_long():  # a peer that drips bytes keeps every single wait short
                raise deadline.failure()
            received += self._receive(length - len(received), deadline)
        return bytes(received)

    def _receive(self, most: int, patience: "_Silence | _Deadline") -> bytes:
        """What is there of the next `most` bytes, one at least."""
        self._acknowledge_at_once()
        chunk = self._wait(partial(self._socket.recv, most), patience)
        if not chunk:
            raise AssociationFailed(FailureKind.CONNECTION, "the peer closed the connection", transient=True)
        return chunk

    def _silence(self, timeout: float) -> "_Silence":
        return _Silence(self._socket, timeout)

    def _acknowledge_at_once(self) -> None:
        """Ask for no delayed acknowledgements; Linux forgets the wish, so it is renewed before every wait.

        DCMTK writes a response in two pieces with Nagle's algorithm on: it holds the second back until we have
        acknowledged the first, which takes 40 ms otherwise.
        """
        if _TCP_QUICKACK is not None:
            with contextlib.suppress(OSError):
                self._socket.setsockopt(socket.IPPROTO_TCP, _TCP_QUICKACK, 1)

    def _wait(self, call: Callable[[], _T], patience: "_Silence | _Deadline") -> _T:
        """`call()` as soon as the socket allows it; the socket's own time-out is short so that `stop` is seen."""
        while True:
            if self._stop.is_set():
                raise AssociationFailed(FailureKind.STOPPED, "the node stops sending", transient=True)
            try:
                return call()
            except TimeoutError as error:
                if patience.too_long():
                    raise patience.failure() from error
            except OSError as error:
                behind = alert_behind(self._socket, error)
                kind = FailureKind.CONFIGURATION if is_refusal(behind) else FailureKind.CONNECTION
                raise AssociationFailed(kind, in_words(behind), transient=True) from error


class _Silence:
    """How long the peer may still be silent. The clock starts anew as long as it takes what we have written.

    Megabytes can wait in the kernel when the last byte is "written": without this, a slow but honest link would be
    cut off, and the same instances sent again, for ever.
    """

    def __init__(self, sock: socket.socket, timeout: float) -> None:
        self._socket, self._timeout = sock, timeout
        self._unsent = self._send_queue()
        self._deadline = time.monotonic() + timeout

    def too_long(self) -> bool:
        unsent = self._send_queue()
        if unsent < self._unsent:
            self._unsent, self._deadline = unsent, time.monotonic() + self._timeout
        return time.monotonic() >= self._deadline

    def failure(self) -> AssociationFailed:
        return AssociationFailed(FailureKind.TIMEOUT, "the peer was silent", transient=True)

    def _send_queue(self) -> int:
        """Bytes that the peer's host has not acknowledged yet (SIOCOUTQ, tcp(7))."""
        answer = fcntl.ioctl(self._socket, termios.TIOCOUTQ, bytes(4))
        return int.from_bytes(answer, sys.byteorder)


class _Deadline:
    """When a PDU that the peer has begun must be whole, however busy the peer looks until then."""

    def __init__(self, seconds: float) -> None:
        self._seconds, self._at = seconds, time.monotonic() + seconds

    def too_long(self) -> bool:
        return time.monotonic() >= self._at

    def failure(self) -> AssociationFailed:
        reason = f"the peer was silent or too slow: a PDU that it had begun was not whole {self._seconds:g} s later"
        return AssociationFailed(FailureKind.TIMEOUT, reason, transient=True)


def _send_joined(sock: ssl.SSLSocket, window: list[memoryview]) -> int:
    """Send from the front of `window`, as `sendmsg` does; called again with the same bytes, as OpenSSL demands it."""
    joined = bytearray()
    for buffer in window:
        joined += buffer[: _TLS_BYTES_PER_CALL - len(joined)]
        if len(joined) == _TLS_BYTES_PER_CALL:
            break
    return sock.send(joined)


def _fragment_length(peer_limit: int) -> int:
    """Bytes of a message in one PDU of the peer's maximum length (0: it sets no limit); an even number."""
    limit = min(peer_limit or MAX_PDU_LENGTH, MAX_PDU_LENGTH)
    return max((limit - _PDV_HEADER.size) & ~1, 2)


def _fragments(context_id: int, message: memoryview, control: int, step: int, *, last: bool) -> list[memoryview]:
    """PDU headers and slices of `message` in turn; `control` is bit 0 of the message control header (PS3.8 E.2).

    `last` sets its bit 1 in the last of them.
    """
    buffers: list[memoryview] = []
    for start in range(0, len(message), step):
        piece = message[start : start + step]
        flags = control | (_LAST if last and start + step >= len(message) else 0)
        header = _HEADERS.pack(_P_DATA_TF, len(piece) + _PDV_HEADER.size, len(piece) + 2, context_id, flags)
        buffers += [memoryview(header), piece]
    return buffers
