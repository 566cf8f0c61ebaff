"""The same scenario against Orthanc and storescp: told in the matrix, never asserted."""

import os
from collections.abc import Callable
from pathlib import Path

from support.matrix import Form
from support.peers import WITHOUT_PEERS
from support.targets import Target, a_storescp, an_orthanc

Scenario = Callable[[Target], str]


def observed(form: Form, root: Path, scenario: Scenario) -> dict[str, str]:
    """What each peer did, in words; nothing in the short form, or where there are no peers."""
    if not form.is_long or os.environ.get(WITHOUT_PEERS) == "1":
        return {}
    seen = {}
    for name, running in (("orthanc", an_orthanc), ("storescp", a_storescp)):
        try:
            with running(root / name) as target:
                seen[name] = scenario(target)
        except (Exception, AssertionError) as error:  # whatever it did, it did
            seen[name] = f"the scenario broke off: {type(error).__name__} {error}".splitlines()[0][:200]
    return seen
