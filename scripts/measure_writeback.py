#!/usr/bin/env python
"""What early writeback gains: containers that hash while the disk works, and instances that stream in.

    python scripts/measure_writeback.py --folder /a/folder/on/the/disk --repeats 7

Both ways of each line run one after the other within a repeat; ratios are medians of those within one repeat.
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import median

from measure_store import in_containers, receipts

from dicomnode.domain.instance import Receipt
from dicomnode.store import container, streamed
from dicomnode.store.disk_check import UNFIT, file_system
from dicomnode.store.journal import Journal

NEVER = 1 << 62
PIECE = 128 << 10
"""As a PDU brings it."""

Pair = tuple[float, float]


def interleaved(repeats: int, folder: Path, one: Callable[[Path], float], other: Callable[[Path], float]) -> list[Pair]:
    """What both measured, in turns: who goes first changes."""
    found: list[Pair] = []
    for repeat in range(repeats):
        measured = {}
        for way in (one, other) if repeat % 2 else (other, one):
            with tempfile.TemporaryDirectory(dir=folder) as used:
                measured[way] = way(Path(used))
            os.sync()
        found.append((measured[one], measured[other]))
    return found


def appended(folder: Path, overlap: int, length: int, writers: int) -> float:
    """Instances per second where those of `overlap` bytes or more are hashed while the disk works."""
    container._OVERLAP = overlap
    return in_containers(folder, length, 400, writers, writers)


def stream(folder: Path, writeback: int, length: int) -> float:
    """Milliseconds of the data sync and all else that `finish` does."""
    streamed._WRITEBACK = writeback
    (told,) = receipts(0, 1, 1, length)
    instance = Journal(folder, "node", "measured", min_free_gb=0).stream(
        sop_class_uid=told.sop_class_uid,
        sop_instance_uid=told.sop_instance_uid,
        transfer_syntax_uid=told.transfer_syntax_uid,
        calling_aet=told.calling_aet,
    )
    piece = os.urandom(PIECE)
    for _ in range(length // PIECE):
        instance.write(piece)

    def receipt_of(length: int, sha256: str) -> Receipt:
        return replace(told, length=length, sha256=sha256)

    began = time.perf_counter()
    instance.finish(receipt_of)
    return (time.perf_counter() - began) * 1000


def print_pair(title: str, unit: str, pairs: list[Pair]) -> None:
    """One line: medians of both, and of what the first is in terms of the second."""
    one, other = (median(pair[way] for pair in pairs) for way in (0, 1))
    ratio = median(pair[0] / pair[1] for pair in pairs)
    sys.stdout.write(f"{title:42} {one:9.1f} {other:9.1f} {unit:4} {ratio:7.3f}\n")
    sys.stdout.flush()


def main() -> None:
    """Print one line per size and number of writers."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--folder", type=Path, default=Path.cwd(), help="on the file system to measure")
    options.add_argument("--repeats", type=int, default=7)
    given = options.parse_args()
    kind = file_system(given.folder)
    if kind in UNFIT:
        options.error(f"a store does not belong on {kind}: {UNFIT[kind]}")
    sys.stdout.write(f"file system {kind}, {os.cpu_count()} cores, medians of {given.repeats} interleaved repeats\n")
    sys.stdout.write(f"{'':42} {'early':>9} {'not':>9} {'':4}   ratio\n")
    for length in (36_000, 131_072, 262_144, 526_288, 2_000_000):
        for writers in (1, 4):
            pairs = interleaved(
                given.repeats,
                given.folder,
                lambda used, work=(length, writers): appended(used, 0, *work),  # type: ignore[misc]
                lambda used, work=(length, writers): appended(used, NEVER, *work),  # type: ignore[misc]
            )
            print_pair(f"{length} bytes, writers: {writers}", "/s", pairs)
    for megabytes in (18, 64, 512):
        pairs = interleaved(
            given.repeats,
            given.folder,
            lambda used, length=megabytes << 20: stream(used, 1 << 20, length),  # type: ignore[misc]
            lambda used, length=megabytes << 20: stream(used, NEVER, length),  # type: ignore[misc]
        )
        print_pair(f"the end of a stream of {megabytes} MB", "ms", pairs)


if __name__ == "__main__":
    main()
