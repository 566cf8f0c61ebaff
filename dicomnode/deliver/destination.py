"""Where deliveries go: a DICOM peer and how long the node waits for it."""

from collections.abc import Mapping
from dataclasses import dataclass

from dicomnode.deliver.tls import ClientTls, files_of
from dicomnode.domain import site
from dicomnode.settings import TlsIdentitySettings


@dataclass(frozen=True)
class Destination:
    """A Storage SCP: the name administrators gave it, its AE title and its address."""

    name: str
    ae_title: str
    host: str
    port: int
    tls: ClientTls | None = None
    """None: in plain text."""
    associations: int = 1
    """At most so many associations are open to it at a time."""

    @classmethod
    def of(
        cls, entry: site.Destination, identities: Mapping[str, TlsIdentitySettings], associations: int = 1
    ) -> "Destination":
        """The destination as site data have it, with the TLS identity of this node that it names.

        `associations` is for those whose entry does not say how many. Where the settings have lost that identity the
        connection fails; it never falls back to plain text.
        """
        tls = None
        if entry.tls is not None:
            tls = ClientTls(files_of(entry.tls, identities.get(entry.tls)), entry.server_name or "")
        return cls(entry.name, entry.ae_title, entry.host, entry.port, tls, entry.associations or associations)

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
