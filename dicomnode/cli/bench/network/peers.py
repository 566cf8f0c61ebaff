"""Every receiver that can be measured, by key."""

from collections.abc import Callable

from dicomnode.cli.bench.network import dcmtk, orthanc
from dicomnode.cli.bench.network.dcmtk import Discarding, StoreScp
from dicomnode.cli.bench.network.node import ReceivingNode, WholeNode
from dicomnode.cli.bench.network.orthanc import Orthanc
from dicomnode.cli.bench.network.peer import Peer
from dicomnode.cli.common import fail


def known(count: str) -> dict[str, Callable[[], Peer]]:
    """How each is made; `count` is the node's receiving processes."""
    return {
        "storescp": lambda: StoreScp("storescp", "storescp"),
        "storescp+B": lambda: StoreScp("storescp+B", "storescp +B", "+B"),
        "discarding": Discarding,
        "orthanc": Orthanc,
        "orthanc-as-it-comes": lambda: Orthanc("orthanc-as-it-comes", "Orthanc, as it comes", helped=False),
        "orthanc-unsynced": lambda: Orthanc("orthanc-unsynced", "Orthanc, sync off", sync=False),
        "receiving": lambda: ReceivingNode(count),
        "node": lambda: WholeNode(count),
    }


def chosen(keys: str, count: str) -> tuple[list[Peer], list[str]]:
    """The peers of a list with commas that are installed, and the titles of those that are not.

    Raises CommandFailed for a key that nothing has, and where nothing is left to measure.
    """
    if count != "auto" and not count.isdigit():
        fail(f"receiving processes are a number or auto, not {count!r}")
    makers = known(count)
    peers = []
    for key in dict.fromkeys(key.strip() for key in keys.split(",") if key.strip()):
        if key not in makers:
            fail(f"there is no peer {key!r}: the peers are {', '.join(makers)}")
        peers.append(makers[key]())
    if not peers:
        fail("there is nobody to measure: name peers")
    absent = [peer.title for peer in peers if not _installed(peer)]
    return [peer for peer in peers if _installed(peer)], absent


def _installed(peer: Peer) -> bool:
    if isinstance(peer, StoreScp):
        return dcmtk.version("storescp") is not None
    return not isinstance(peer, Orthanc) or orthanc.version() is not None
