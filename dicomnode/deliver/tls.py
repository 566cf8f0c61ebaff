"""TLS towards a destination: the identity that its entry names, its certificate checked always and against its name."""

import ssl
from dataclasses import dataclass

from dicomnode.domain.tls import TlsFiles, TlsUnusable, strict_context
from dicomnode.settings import TlsIdentitySettings


@dataclass(frozen=True)
class ClientTls:
    """What a destination is connected to with. The files are read at each connection: renewed ones need no restart."""

    files: TlsFiles
    server_name: str = ""
    """The name that its certificate must be for; empty: the host that is connected to."""


def files_of(name: str, identity: TlsIdentitySettings | None) -> TlsFiles:
    """The files of the identity of this name; without any where the settings have none of it."""
    paths = {each: str(getattr(identity, each, None) or "") for each in ("ca", "cert", "key")}
    return TlsFiles(f"tls.{name}", **paths)


def client_context(files: TlsFiles) -> ssl.SSLContext:
    """The context to open TLS connections with. Raises TlsUnusable."""
    if not files.ca:
        raise TlsUnusable(
            f"there is no [{files.setting}] in the settings file: add it, or take another identity for the destination"
        )
    return strict_context(ssl.PROTOCOL_TLS_CLIENT, files)


_CERTIFICATE_FAULTS = {
    9: "its certificate is not valid yet",
    10: "its certificate has expired",
    18: "its certificate is signed by itself, and `ca` does not hold it",
    19: "none of the certificates in `ca` vouches for its certificate",
    20: "none of the certificates in `ca` vouches for its certificate",
    21: "none of the certificates in `ca` vouches for its certificate",
    62: "its certificate is for another name; `server_name` of the destination says which to expect",
    64: "its certificate is for another address; `server_name` of the destination says which name to expect",
}
"""OpenSSL's X509_V_ERR_* codes (x509_vfy.h), in the words of an administrator."""

_CLOSED = "UNEXPECTED_EOF_WHILE_READING"

_HANDSHAKE_FAULTS = {
    _CLOSED: "it closed the connection",
    "WRONG_VERSION_NUMBER": "it speaks no TLS on this port",
    "UNSUPPORTED_PROTOCOL": "it speaks no TLS 1.2 or later",
    "TLSV1_ALERT_PROTOCOL_VERSION": "it speaks no TLS 1.2 or later",
    "SSLV3_ALERT_HANDSHAKE_FAILURE": "it shares no cipher suite with this node, or wants a certificate of ours",
    "TLSV13_ALERT_CERTIFICATE_REQUIRED": "it wants a certificate of ours, and our identity has none",
    "TLSV1_ALERT_UNKNOWN_CA": "it does not trust who vouches for our certificate",
    "SSLV3_ALERT_BAD_CERTIFICATE": "it refuses our certificate",
    "SSLV3_ALERT_CERTIFICATE_UNKNOWN": "it refuses our certificate",
    "SSLV3_ALERT_CERTIFICATE_EXPIRED": "our certificate has expired",
    "TLSV1_ALERT_ACCESS_DENIED": "it refuses our certificate",
}
"""OpenSSL's reasons, those of the peer's alerts included (RFC 8446 6.2)."""


def alert_behind(sock: object, error: OSError) -> OSError:
    """The alert of a peer that hung up, if one lies unread, else `error`. The socket is of no use afterwards.

    In TLS 1.3 our handshake is over before the peer has looked at our certificate: where it refuses that, what fails
    is the first write, and only the alert says why.
    """
    if isinstance(sock, ssl.SSLSocket) and not getattr(error, "reason", None):
        try:
            sock.settimeout(0)
            sock.recv(1)
        except ssl.SSLWantReadError:
            return error
        except OSError as alert:
            return alert
    return error


def is_refusal(error: OSError) -> bool:
    """Whether one side refuses the other for good, as far as TLS can tell: people have to change something."""
    known = isinstance(error, ssl.SSLError) and error.reason != _CLOSED and error.reason in _HANDSHAKE_FAULTS
    return known or isinstance(error, ssl.SSLCertVerificationError)


def in_words(error: OSError) -> str:
    """Why there is no connection, or no longer, for any error of a socket."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return _CERTIFICATE_FAULTS.get(error.verify_code, f"its certificate is refused: {error.verify_message}")
    if isinstance(error, ssl.SSLError):
        return _HANDSHAKE_FAULTS.get(error.reason or _CLOSED, f"TLS failed: {error.reason}")
    return f"the connection broke: {error.strerror or error}"
