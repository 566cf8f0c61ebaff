"""The node's own sending, without its ledger: stored instances over one or several associations. Run as a file.

The order comes as JSON on standard input, the outcome goes as JSON to standard output.
"""

import json
import resource
import sys
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dicomnode.deliver.destination import Destination
from dicomnode.deliver.outcome import AssociationFailed, Response
from dicomnode.deliver.outgoing import Outgoing
from dicomnode.deliver.parallel import store
from dicomnode.domain.instance import Location


def run(order: Mapping[str, Any]) -> dict[str, Any]:
    """Carry out an order; the seconds are those from the first association's request to the last one's release."""
    destination = Destination(
        "bench", order["called"], order["host"], order["port"], associations=order["associations"]
    )
    outgoings = [_outgoing(Path(order["store"]), each) for each in order["instances"]]
    statuses: Counter[str] = Counter()

    def answered(_: Outgoing, response: Response) -> None:
        statuses[response.detail if response.status is None else f"{response.status:04X}"] += 1

    before = resource.getrusage(resource.RUSAGE_SELF)
    began = time.perf_counter()
    try:
        store(destination, order["calling"], outgoings, answered=answered)
    except (AssociationFailed, OSError) as error:
        return {"error": str(error) or type(error).__name__}
    seconds = time.perf_counter() - began
    after = resource.getrusage(resource.RUSAGE_SELF)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"seconds": seconds, "statuses": statuses, "cpu_seconds": cpu}


def _outgoing(root: Path, instance: Mapping[str, Any]) -> Outgoing:
    location = Location(instance["container"], instance["offset"], instance["length"])
    uids = (instance["sop_class"], instance["sop_instance"], instance["transfer_syntax"])
    return Outgoing.from_location(root, *uids, location)


if __name__ == "__main__":
    json.dump(run(json.load(sys.stdin)), sys.stdout)
