"""The node's own sending, without its ledger: stored instances over one or several associations. Run as a file.

The order comes as JSON on standard input, the outcome goes as JSON to standard output.
"""

import json
import resource
import sys
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from dicomnode.deliver.destination import Destination
from dicomnode.deliver.outcome import AssociationFailed
from dicomnode.deliver.scu import Outgoing, open_association
from dicomnode.domain.instance import Location
from dicomnode.store.reading import read_bytes


class Outcome:
    """What all associations of one order did so far."""

    def __init__(self) -> None:
        self.statuses: Counter[str] = Counter()
        self.milliseconds: list[float] = []
        self.errors: list[str] = []


def send(destination: Destination, calling: str, outgoings: Sequence[Outgoing], outcome: Outcome) -> None:
    """One association, from its request to its release."""
    try:
        with open_association(destination, calling, outgoings) as session:
            for outgoing in outgoings:
                began = time.perf_counter()
                response = session.send(outgoing)
                outcome.milliseconds.append(1000 * (time.perf_counter() - began))
                told = response.detail if response.status is None else f"{response.status:04X}"
                outcome.statuses[told] += 1
    except (AssociationFailed, OSError, RuntimeError) as error:
        outcome.errors.append(str(error) or type(error).__name__)


def run(order: Mapping[str, Any]) -> dict[str, Any]:
    """Carry out an order; the seconds are those from the first association's request to the last one's release."""
    destination = Destination("bench", order["called"], order["host"], order["port"])
    outgoings = [_outgoing(Path(order["store"]), each) for each in order["instances"]]
    count = order["associations"]
    outcome = Outcome()
    shares = [outgoings[first::count] for first in range(count)]
    threads = [threading.Thread(target=send, args=(destination, order["calling"], s, outcome)) for s in shares]
    before = resource.getrusage(resource.RUSAGE_SELF)
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seconds = time.perf_counter() - began
    after = resource.getrusage(resource.RUSAGE_SELF)
    if outcome.errors:
        return {"error": outcome.errors[0]}
    return {
        "seconds": seconds,
        "statuses": outcome.statuses,
        "milliseconds": sorted(outcome.milliseconds),
        "cpu_seconds": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
        "largest_mib": after.ru_maxrss / 1024,
    }


def _outgoing(store: Path, instance: Mapping[str, Any]) -> Outgoing:
    location = Location(instance["container"], instance["offset"], instance["length"])
    uids = (instance["sop_class"], instance["sop_instance"], instance["transfer_syntax"])
    return Outgoing(*uids, partial(read_bytes, store, location))


if __name__ == "__main__":
    json.dump(run(json.load(sys.stdin)), sys.stdout)
