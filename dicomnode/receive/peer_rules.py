"""What a peer must show and may do before its calling AE title is believed: an AE title alone is no identity."""

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dicomnode.settings import PeerSettings

ECHO = "echo"
STORE = "store"
COMMIT = "commit"
"""Ask for storage commitment (N-ACTION)."""
REPORT = "report"
"""Report storage commitment to this node (N-EVENT-REPORT)."""
VERBS = (ECHO, STORE, COMMIT)
"""What a rule allows; who may do anything but echo may report."""

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network


@dataclass(frozen=True)
class PeerRule:
    """One calling AE title's rule. What is empty demands nothing; of several alternatives one suffices."""

    calling_aet: str
    addresses: tuple[Network, ...] = ()
    fingerprints: tuple[str, ...] = ()
    """SHA-256 of a certificate's DER, in lower-case hexadecimal digits."""
    names: tuple[str, ...] = ()
    """Common names, or subject alternative names, of a certificate."""
    tls: bool = False
    verbs: tuple[str, ...] = VERBS

    @property
    def needs_certificate(self) -> bool:
        return bool(self.fingerprints or self.names)

    def lets_in(self, address: str) -> bool:
        """Whether a peer's address lies in one of the ranges. Text that is no address lies in none."""
        if not self.addresses:
            return True
        peer = address_of(address)
        return peer is not None and any(peer in network for network in self.addresses)

    @classmethod
    def of(cls, calling_aet: str, peer: "PeerSettings") -> "PeerRule":
        """The rule as the settings have it."""
        networks = tuple(ip_network(text) for text in peer.addresses)
        return cls(calling_aet, networks, peer.fingerprints, peer.names, peer.tls, peer.verbs)

    def to_document(self) -> dict[str, Any]:
        """Plain JSON, for `from_document` in another process."""
        return {
            "calling_aet": self.calling_aet,
            "addresses": [str(network) for network in self.addresses],
            "fingerprints": list(self.fingerprints),
            "names": list(self.names),
            "tls": self.tls,
            "verbs": list(self.verbs),
        }

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> "PeerRule":
        """Raises ValueError for an address range that is none."""
        return cls(
            calling_aet=document["calling_aet"],
            addresses=tuple(ip_network(text) for text in document["addresses"]),
            fingerprints=tuple(document["fingerprints"]),
            names=tuple(document["names"]),
            tls=document["tls"],
            verbs=tuple(document["verbs"]),
        )


def address_of(text: str) -> Address | None:
    """The address of a connected socket's peer.

    A listener on `::` sees IPv4 peers as ::ffff:a.b.c.d (RFC 4291 2.5.5.2): they are meant by IPv4 ranges. The zone
    of a link-local address says over which of our interfaces it came, and belongs to no range.
    """
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address
