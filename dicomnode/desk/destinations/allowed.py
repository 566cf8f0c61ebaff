"""Where the browser may lead the node: no further than `web.destination_networks`.

Whoever may edit or ask destinations chooses a host that the node then connects to, from inside the hospital's network.
A host is allowed if every address that it has is. Who connects takes an address that was looked at, never the name
again: a second look-up could be answered with another one (DNS rebinding).
"""

import socket
from ipaddress import IPv4Address, IPv6Address, ip_address

from dicomnode.desk.refused import Refused
from dicomnode.domain.peer import address_range
from dicomnode.flow import Flow


def check_allowed(flow: Flow, host: str) -> tuple[str, ...]:
    """The addresses of `host`, the resolver's first choice first. Raises Refused unless all of them are allowed."""
    networks = flow.settings.web.destination_networks
    addresses = _addresses(host)
    for address in addresses:
        if not _is_inside(address, networks):
            name = host if host == address else f"{host} ({address})"
            raise Refused(
                f"{name} is outside of the networks that destinations may lie in for the browser: "
                f"{', '.join(networks) or 'none at all'}. The setting web.destination_networks says which; "
                "`dicomnode site import` is not bound by it."
            )
    return addresses


def _addresses(host: str) -> tuple[str, ...]:
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise Refused(f"the name {host} cannot be resolved: without an address its network is not known") from error
    return tuple(dict.fromkeys(str(entry[4][0]) for entry in found))


def _is_inside(text: str, networks: tuple[str, ...]) -> bool:
    address: IPv4Address | IPv6Address = ip_address(text)
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return any(address in network for network in map(address_range, networks))
