#!/usr/bin/env python
"""Containers against a plain file and a receipt per instance: durable instances/s, interleaved, on one file system.

    python scripts/measure_store.py --folder /a/folder/on/the/disk --repeats 7

All hash while the disk already works. Containers and plain files return only when a power cut could no longer lose
the instance; bare files are what no file per instance can beat: one sync, no receipt, no sync of the directory. The
ratios are medians of those within one repeat, which the noise of a shared machine touches least.
"""

import argparse
import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import median

from dicomnode.domain.instance import Receipt
from dicomnode.store import part10, tar
from dicomnode.store.container import sync_directory, write_all
from dicomnode.store.disk_check import UNFIT, file_system
from dicomnode.store.journal import Journal
from dicomnode.store.writeback import start_writeback

KINDS = {"CT": 512 * 512 * 2 + 2_000, "MR": 36_000}
"""Bytes of a data set."""

SHAPES = ((1, 1), (4, 4), (4, 1))
"""Writers, and the series that they write."""

OVERLAP = 256 << 10

Store = Callable[[Receipt, bytes], object]


class PlainFiles:
    """The simple store: `<series>/<instance>.dcm` and `.receipt`, each synced, then the directory."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def append(self, receipt: Receipt, data_set: bytes) -> None:
        folder = self._root / receipt.series_uid
        if not folder.is_dir():
            folder.mkdir(exist_ok=True)
            sync_directory(self._root)
        instance = self._open(folder / f"{receipt.sop_instance_uid}.dcm")
        prefix = part10.prefix(receipt)
        write_all(instance, (prefix, data_set))
        if len(data_set) >= OVERLAP:
            start_writeback(instance, 0, len(prefix) + len(data_set))
        attested = self._open(folder / f"{receipt.sop_instance_uid}.receipt")
        write_all(attested, tar.document("", part10.attest(receipt, data_set).to_json())[1:2])
        for descriptor in (instance, attested):
            os.fsync(descriptor)
            os.close(descriptor)
        sync_directory(folder)

    def append_bare(self, receipt: Receipt, data_set: bytes) -> None:
        """The least that a file per instance can cost."""
        instance = self._open(self._root / f"{receipt.sop_instance_uid}.dcm")
        prefix = part10.prefix(receipt)
        write_all(instance, (prefix, data_set))
        if len(data_set) >= OVERLAP:
            start_writeback(instance, 0, len(prefix) + len(data_set))
        part10.attest(receipt, data_set)
        os.fsync(instance)
        os.close(instance)

    @staticmethod
    def _open(path: Path) -> int:
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)


def receipts(writer: int, series: int, count: int, length: int) -> list[Receipt]:
    """What one writer stores: receipts without a hash, which the store works out."""
    one = Receipt(
        sop_class_uid="1.2.840.10008.5.1.4.1.1.2",
        sop_instance_uid="",
        study_uid="1.2.826.0.1.3680043.8.498.1",
        series_uid=f"1.2.826.0.1.3680043.8.498.2.{writer % series}",
        transfer_syntax_uid="1.2.840.10008.1.2.1",
        length=length,
        sha256="",
        calling_aet="MODALITY",
        called_aet="DICOMNODE",
        peer="192.0.2.1",
        association=f"00-{writer}",
        received_at="2026-01-01T00:00:00.000+00:00",
    )
    return [replace(one, sop_instance_uid=f"1.2.826.0.1.3680043.8.498.3.{writer}.{n}") for n in range(count)]


def rate(store: Store, length: int, count: int, writers: int, series: int) -> float:
    """Instances per second of all writers together."""
    data_set = os.urandom(length)
    work = [receipts(writer, series, count // writers, length) for writer in range(writers)]

    def write(mine: list[Receipt]) -> None:
        for receipt in mine:
            store(receipt, data_set)

    threads = [threading.Thread(target=write, args=(mine,)) for mine in work]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(map(len, work)) / (time.perf_counter() - began)


def in_containers(folder: Path, *work: int) -> float:
    """The store as it is."""
    journal = Journal(folder, "node", "measured", min_free_gb=0)
    try:
        return rate(journal.append, *work)
    finally:
        journal.close()


def in_plain_files(folder: Path, *work: int) -> float:
    """The simple store in its place."""
    return rate(PlainFiles(folder).append, *work)


def in_bare_files(folder: Path, *work: int) -> float:
    """A lower bound for every store that has a file per instance."""
    return rate(PlainFiles(folder).append_bare, *work)


WAYS = (in_containers, in_plain_files, in_bare_files)


def compare(folder: Path, repeats: int, *work: int) -> tuple[list[float], list[float]]:
    """Medians of each way, and of the ratios of containers to the others within a repeat."""
    repeated: list[list[float]] = []
    for repeat in range(repeats):
        rates = [0.0] * len(WAYS)
        for turn in range(len(WAYS)):
            way = (turn + repeat) % len(WAYS)
            with tempfile.TemporaryDirectory(dir=folder) as used:
                rates[way] = WAYS[way](Path(used), *work)
            os.sync()  # what one leaves to be done is not the next one's to do
        repeated.append(rates)
    ratios = [median(rates[0] / rates[way] for rates in repeated) for way in range(1, len(WAYS))]
    return [median(rates) for rates in zip(*repeated, strict=True)], ratios


def main() -> None:
    """Print one line per kind and number of writers."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--folder", type=Path, default=Path.cwd(), help="on the file system to measure")
    options.add_argument("--repeats", type=int, default=7)
    options.add_argument("--count", type=int, default=400, help="instances per run")
    given = options.parse_args()
    kind = file_system(given.folder)
    if kind in UNFIT:
        options.error(f"a store does not belong on {kind}: {UNFIT[kind]}")
    sys.stdout.write(f"file system {kind}, {os.cpu_count()} cores, medians of {given.repeats} interleaved repeats\n")
    sys.stdout.write("kind writers series  containers/s  plain files/s  ratio  bare files/s  ratio\n")
    for name, length in KINDS.items():
        for shape in SHAPES:
            (containers, plain, bare), ratios = compare(given.folder, given.repeats, length, given.count, *shape)
            line = (*shape, containers, plain, ratios[0], bare, ratios[1])
            sys.stdout.write("{:4} {:7} {:6} {:13.0f} {:14.0f} {:6.2f} {:13.0f} {:6.2f}\n".format(name, *line))
            sys.stdout.flush()


if __name__ == "__main__":
    main()
