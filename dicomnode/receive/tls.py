"""TLS of the listener, and who the peer at its other end is."""

import ssl
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from dicomnode.domain.tls import TlsFiles, strict_context

if TYPE_CHECKING:
    from dicomnode.settings import TlsPortSettings

_CLIENT = {"require": ssl.CERT_REQUIRED, "request": ssl.CERT_OPTIONAL, "none": ssl.CERT_NONE}


@dataclass(frozen=True)
class ServerTls:
    """What the TLS port is opened with: file names, since every receiving process reads the files itself."""

    cert: str
    key: str
    ca: str = ""
    client: str = "require"
    """`require` or `request` a client certificate, or `none`. One that is shown must be valid in any case."""

    @classmethod
    def of(cls, tls: "TlsPortSettings") -> "ServerTls":
        """The files as the settings name them."""
        return cls(str(tls.cert), str(tls.key), str(tls.ca or ""), tls.client)

    def to_document(self) -> dict[str, Any]:
        """Plain JSON: the arguments of another such object."""
        return asdict(self)


def server_context(tls: ServerTls) -> ssl.SSLContext:
    """The context to accept TLS connections with. Raises TlsUnusable."""
    context = strict_context(ssl.PROTOCOL_TLS_SERVER, TlsFiles("dicom.tls", tls.ca, tls.cert, tls.key))
    context.num_tickets = 0
    context.verify_mode = _CLIENT[tls.client]
    return context


def certificate_of(connection: ssl.SSLSocket | ssl.SSLObject) -> tuple[bytes | None, tuple[str, ...]]:
    """The client's certificate as DER, and its common names and subject alternative names (DNS, IP address).

    After the handshake. (None, ()) where the client showed none; one that did not verify ended the handshake.
    """
    certificate = connection.getpeercert()
    if not certificate:
        return None, ()
    subject: Any = certificate.get("subject", ())
    alternatives: Any = certificate.get("subjectAltName", ())
    common = [value for relative in subject for key, value in relative if key == "commonName"]
    others = [value for kind, value in alternatives if kind in ("DNS", "IP Address")]
    return connection.getpeercert(binary_form=True), tuple(dict.fromkeys([*common, *others]))
