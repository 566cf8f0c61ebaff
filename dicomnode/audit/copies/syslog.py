"""Syslog over a stream: RFC 5424 messages, framed by octet counting (RFC 5425 4.3, RFC 6587 3.4.1)."""

import fcntl
import os
import re
import socket
import ssl
import struct
import termios
import time
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlsplit

from dicomnode.domain.tls import TlsFiles, strict_context

PRIORITY = 10 * 8 + 5
"""Facility 10 (security/authorization), severity 5 (notice): what PS3.15 A.6.1 has clients use."""
MESSAGE_ID = "DICOM+RFC3881"
SECONDS = 10.0


@dataclass(frozen=True)
class Collector:
    """Where copies go. `files`: whom TLS trusts, and what it shows; None: no TLS."""

    host: str
    port: int
    files: TlsFiles | None

    @classmethod
    def of(cls, url: str, files: TlsFiles) -> "Collector":
        """From `tls://host:port` or `tcp://host:port`, which the settings have validated."""
        parts = urlsplit(url)
        return cls(parts.hostname or "", parts.port or 6514, files if parts.scheme == "tls" else None)


def frame(message: bytes, at: datetime, node: str, seq: int) -> bytes:
    """One syslog message with its length before it. `seq`, its place in the chain, is its sequenceId (7.3.1)."""
    host = re.sub(r"[^!-~]", "-", node)[:255] or "-"
    stamp = at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    head = f'<{PRIORITY}>1 {stamp} {host} dicomnode {os.getpid()} {MESSAGE_ID} [meta sequenceId="{seq % 2**31}"] '
    whole = head.encode("ascii") + b"\xef\xbb\xbf" + message
    return str(len(whole)).encode("ascii") + b" " + whole


class Connection:
    """One connection to the collector. Everything raises OSError, ssl.SSLError included; TlsUnusable when it opens."""

    def __init__(self, collector: Collector) -> None:
        plain = socket.create_connection((collector.host, collector.port), SECONDS)
        self._socket: socket.socket = plain
        if collector.files is not None:
            try:
                context = strict_context(ssl.PROTOCOL_TLS_CLIENT, collector.files)
                self._socket = context.wrap_socket(plain, server_hostname=collector.host)
            except BaseException:
                plain.close()
                raise

    def send(self, frames: bytes) -> None:
        """Write, and wait until the collector's machine has acknowledged every byte."""
        self.check()
        self._socket.sendall(frames)
        deadline = time.monotonic() + SECONDS
        while self._waiting():
            if time.monotonic() > deadline:
                raise TimeoutError("the collector takes nothing")
            time.sleep(0.005)

    def check(self) -> None:
        """Raise if the collector has hung up: syslog answers nothing, so anything that can be read is the end."""
        self._socket.settimeout(0)
        try:
            if self._socket.recv(1) == b"":
                raise ConnectionResetError("the collector has closed the connection")
        except (BlockingIOError, ssl.SSLWantReadError):
            pass
        finally:
            self._socket.settimeout(SECONDS)

    def close(self) -> None:
        self._socket.close()

    def _waiting(self) -> int:
        """Bytes that were written and not acknowledged (SIOCOUTQ)."""
        raw = fcntl.ioctl(self._socket.fileno(), termios.TIOCOUTQ, b"\0" * 4)
        return int(struct.unpack("i", raw)[0])
