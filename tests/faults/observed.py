"""The same scenario against Orthanc and storescp: told in the matrix, never asserted."""

import os
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path

from support.matrix import Form
from support.peers import WITHOUT_PEERS
from support.targets import Target, a_storescp, an_orthanc

Scenario = Callable[[Target], str]
Peers = Mapping[str, Callable[[Path], AbstractContextManager[Target]]]
PEERS: Peers = {"orthanc": an_orthanc, "storescp": a_storescp}


def observed(form: Form, root: Path, scenario: Scenario, peers: Peers = PEERS) -> dict[str, str]:
    """What each peer did, in words; nothing in the short form, or where there are no peers."""
    if not form.is_long or os.environ.get(WITHOUT_PEERS) == "1":
        return {}
    seen = {}
    for name, running in peers.items():
        try:
            with running(root / name) as target:
                seen[name] = scenario(target)
        except (Exception, AssertionError) as error:  # whatever it did, it did
            seen[name] = f"the scenario broke off: {type(error).__name__} {error}".splitlines()[0][:200]
    return seen
