"""TLS as this node speaks it, in both directions: the BCP 195 profile of PS3.15 B.12 (RFC 8996, RFC 9325).

TLS 1.2 at least, 1.3 where the peer has it; forward secrecy and authenticated encryption only.
"""

import ssl
from dataclasses import dataclass
from pathlib import Path

CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20:!aNULL:!PSK:!SRP:@SECLEVEL=2"
"""TLS 1.2's suites (RFC 9325 4.2, and ChaCha20 of RFC 7905). Level 2: RSA keys from 2048 bits, no SHA-1 signature."""


class TlsUnusable(Exception):
    """The files do not make a working TLS; the message says which setting, why, and the way out."""


@dataclass(frozen=True)
class TlsFiles:
    """PEM files, under the setting that names them: `<setting>.cert`, `.key`, `.ca`."""

    setting: str
    ca: str = ""
    """The certificates that are trusted to vouch for peers."""
    cert: str = ""
    """Our own certificate, and after it those between it and the root."""
    key: str = ""


def strict_context(protocol: int, files: TlsFiles) -> ssl.SSLContext:
    """A context of this profile with these files; `protocol` is ssl.PROTOCOL_TLS_SERVER or _CLIENT.

    Raises TlsUnusable.
    """
    context = ssl.SSLContext(protocol)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(CIPHERS)
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE
    # A resumed session skips the look at the certificate; associations are long, and a handshake takes 3 ms.
    # TLS 1.2 can still resume by session ID, within one process and two hours: Python has no switch for that.
    context.options |= ssl.OP_NO_TICKET
    if files.ca:
        _trust(context, files)
    if files.cert:
        _load_own(context, files)
    return context


def _trust(context: ssl.SSLContext, files: TlsFiles) -> None:
    path = _readable(files, "ca", files.ca)
    try:
        context.load_verify_locations(cafile=path)
    except ssl.SSLError as error:
        raise TlsUnusable(f"setting {files.setting}.ca: {path} holds no certificates in PEM format") from error


def _load_own(context: ssl.SSLContext, files: TlsFiles) -> None:
    cert, key = _readable(files, "cert", files.cert), _readable(files, "key", files.key)
    if key.stat().st_mode & 0o007:
        raise TlsUnusable(
            f"setting {files.setting}.key: every user of this machine may read or change {key}; "
            f"take that away with `chmod o= {key}`"
        )

    def encrypted() -> str:
        raise TlsUnusable(
            f"setting {files.setting}.key: {key} is encrypted, and nobody types its password when the node starts; "
            f"write a plain one that only the node may read with `openssl pkey -in {key} -out PLAIN.key`"
        )

    try:
        context.load_cert_chain(cert, key, password=encrypted)
    except ssl.SSLError as error:
        raise TlsUnusable(f"setting {files.setting}.cert: {_why(error, cert, key)}") from error


def _why(error: ssl.SSLError, cert: Path, key: Path) -> str:
    match error.reason:
        case "KEY_VALUES_MISMATCH":
            return f"the key {key} does not belong to the certificate {cert}"
        case "EE_KEY_TOO_SMALL" | "CA_KEY_TOO_SMALL" | "CA_MD_TOO_WEAK":
            return f"{cert} is too weak: take an RSA key of 2048 bits or more, or an elliptic one, and SHA-256"
        case _:
            return f"{cert} and {key} are not a certificate and its private key in PEM format"


def _readable(files: TlsFiles, name: str, text: str) -> Path:
    path = Path(text)
    try:
        path.open("rb").close()
    except FileNotFoundError:
        raise TlsUnusable(f"setting {files.setting}.{name}: there is no file {path}") from None
    except OSError as error:
        raise TlsUnusable(f"setting {files.setting}.{name}: {path} cannot be read: {error.strerror}") from error
    return path
