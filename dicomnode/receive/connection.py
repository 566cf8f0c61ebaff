"""A connection whose A-ASSOCIATE-RQ has come: what the lobby hands to an association."""

import socket
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Connection:
    """An open socket with its peer's address. `request` is the A-ASSOCIATE-RQ's content, `before` what came behind."""

    socket: socket.socket
    address: str
    port: int
    tls: bool
    request: bytes = field(repr=False)
    before: bytes = field(repr=False)
