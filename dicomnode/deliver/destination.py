"""Where deliveries go: a DICOM peer and how long the node waits for it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Destination:
    """A Storage SCP: the name administrators gave it, its AE title and its address."""

    name: str
    ae_title: str
    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.name} ({self.ae_title} at {self.host}:{self.port})"


@dataclass(frozen=True)
class Timeouts:
    """Seconds the node waits for a peer.

    `connect` for the TCP connection, `acse` for the answer to A-ASSOCIATE-RQ and A-RELEASE-RQ, `dimse` for a response
    once the request has been written, and for any progress while it is being written.
    """

    connect: float = 10.0
    acse: float = 30.0
    dimse: float = 60.0
