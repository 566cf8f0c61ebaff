"""Until when a certificate is valid. Python's ssl tells it of a peer's certificate only, not of one's own."""

import ssl
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

_VERSION, _UTC_TIME = 0xA0, 0x17


def valid_until(cert: Path) -> datetime:
    """The end of the first certificate in a PEM file that OpenSSL has read without complaint (RFC 5280 4.1.2.5)."""
    text = cert.read_text(encoding="ascii", errors="replace")
    begin = text.index("-----BEGIN CERTIFICATE-----")
    end = text.index("-----END CERTIFICATE-----", begin) + len("-----END CERTIFICATE-----")
    (_, certificate), *_ = _elements(ssl.PEM_cert_to_DER_cert(text[begin:end]))
    (_, to_be_signed), *_ = _elements(certificate)
    fields = [field for field in _elements(to_be_signed) if field[0] != _VERSION]
    _serial, _signature, _issuer, (_, validity), *_ = fields
    _, (kind, when) = _elements(validity)
    digits = when.decode("ascii")
    if kind == _UTC_TIME:  # two digits of the year: from 50 on of the last century
        digits = ("19" if digits >= "50" else "20") + digits
    return datetime.strptime(digits, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)


def _elements(content: bytes) -> Iterator[tuple[int, bytes]]:
    """The DER elements that `content` consists of, as (tag, content) (X.690 8.1)."""
    offset = 0
    while offset < len(content):
        tag, length = content[offset], content[offset + 1]
        offset += 2
        if length & 0x80:
            size = length & 0x7F
            length = int.from_bytes(content[offset : offset + size], "big")
            offset += size
        yield tag, content[offset : offset + length]
        offset += length
