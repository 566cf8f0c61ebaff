"""A socket on which associations may be opened."""

import socket
import ssl
from dataclasses import dataclass


@dataclass(frozen=True)
class Listening:
    """A bound and listening TCP socket; with `tls`, the security that every connection to it begins with."""

    socket: socket.socket
    tls: ssl.SSLContext | None = None
