"""A socket on which associations may be opened."""

import errno
import socket
import ssl
from dataclasses import dataclass

_QUEUE = 4096
"""Connections that the kernel holds until somebody takes them: a burst of senders, or the second that a receiving
process needs to be there again. Beyond it each tries again after a second. Kernels cut it to their own limit."""


class CannotListen(Exception):
    """The receiver's port cannot be opened; the message is for the administrator."""


class PortTaken(CannotListen):
    """Another program listens on the port."""


@dataclass(frozen=True)
class Listening:
    """A bound and listening TCP socket; with `tls`, the security that every connection to it begins with."""

    socket: socket.socket
    tls: ssl.SSLContext | None = None


def listen(host: str, port: int) -> socket.socket:
    """Bind and listen; port 0 takes a free one. Whoever accepts does not block. Raises PortTaken or CannotListen."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        opened = socket.socket(family, kind, protocol)
        try:
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # the last life's connections linger
            opened.bind(address)
            opened.listen(_QUEUE)
            opened.setblocking(False)  # several processes wait for each connection, and one gets it
        except OSError:
            opened.close()
            raise
    except OSError as error:
        raise _cannot_listen(error, host, port) from error
    return opened


def _cannot_listen(error: OSError, host: str, port: int) -> CannotListen:
    if error.errno == errno.EADDRINUSE:
        return PortTaken(f"port {port} on {host} is taken by another program")
    if error.errno == errno.EACCES:
        return CannotListen(f"this user may not listen on port {port}: ports below 1024 need a privilege")
    if isinstance(error, socket.gaierror):
        return CannotListen(f"{host!r} is not an address of this machine")
    return CannotListen(f"port {port} on {host} cannot be opened: {error.strerror}")
