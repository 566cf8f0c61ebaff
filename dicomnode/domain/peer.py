"""How an administrator writes down a peer: its AE title, its address ranges, its certificate's fingerprint."""

import re
from ipaddress import IPv4Network, IPv6Network, ip_network

ANY_OTHER = "*"
"""Stands for every AE title that has no rule of its own."""


def ae_title(text: str) -> str:
    """The title without spaces at its ends. Raises ValueError (PS3.5 6.2)."""
    if not re.fullmatch(r"[ -\[\]-~]{1,16}", text) or not text.strip():
        raise ValueError("an AE title has 1 to 16 printable ASCII characters and no backslash (PS3.5 6.2)")
    return text.strip()


def host_and_port(text: str) -> tuple[str, int]:
    """Both halves of HOST:PORT. Raises ValueError in words."""
    host, colon, port = text.rpartition(":")
    if not (colon and re.fullmatch(r"[^\s/@\[\].][^\s/@\[\]]{0,252}", host) and re.fullmatch(r"\d{1,5}", port)):
        raise ValueError(f"{text!r} is no address and port such as 10.1.2.3:104 or ct1.example:11112")
    if not 0 < int(port) < 1 << 16:
        raise ValueError(f"{text!r}: a port is a number from 1 to 65535")
    return host, int(port)


def address_range(text: str) -> IPv4Network | IPv6Network:
    """An address, or a range as in 10.1.0.0/16 or fd00:1::/64. Raises ValueError in words."""
    try:
        network = ip_network(text, strict=False)
    except ValueError:
        raise ValueError(f"{text!r} is no address and no range of them such as 10.1.0.0/16 or fd00:1::/64") from None
    if str(network.network_address) != str(ip_network(text.partition("/")[0]).network_address):
        raise ValueError(f"{text!r} is an address inside a range: write {network}, or the address alone")
    if isinstance(network, IPv6Network) and network.network_address.ipv4_mapped and network.prefixlen >= 96:
        raise ValueError(f"{text!r} is an IPv4 range in IPv6 clothes: write it as IPv4")
    return network


def fingerprint(text: str) -> str:
    """The SHA-256 of a certificate's DER as 64 lower-case hexadecimal digits. Raises ValueError in words.

    Colons between the digits and a `sha256` before them, as openssl prints them, are left out.
    """
    digits = re.sub(r"^sha256( fingerprint)?[:=]", "", text.strip().lower()).replace(":", "")
    if not re.fullmatch(r"[0-9a-f]{64}", digits):
        raise ValueError(
            f"{text!r} is no SHA-256 fingerprint: `openssl x509 -in CERT -noout -fingerprint -sha256` prints one"
        )
    return digits
