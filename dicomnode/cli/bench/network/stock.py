"""What is sent in `bench deliver`: the same instances as files and in the store."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from dicomnode.cli.bench.network.instances import Kind
from dicomnode.domain.instance import Receipt
from dicomnode.store.journal import Journal
from dicomnode.store.part10 import fingerprint


@dataclass(frozen=True)
class Stock:
    """Instances of one kind: `files` in a folder, `stored` as the node's sender wants them told, under `store`."""

    files: list[Path]
    store: Path
    stored: Sequence[Mapping[str, Any]]

    @classmethod
    def of(cls, kind: Kind, count: int, folder: Path, stamp: int) -> "Stock":
        """Write `count` instances of one new series as files and into a store. Raises StoreError and OSError."""
        files = kind.write(folder / "files", stamp, count)
        store = folder / "store"
        journal = Journal(store, "bench", "main", min_free_gb=0)
        try:
            stored = [_stored(journal, kind, *instance) for instance in kind.instances(stamp, count)]
        finally:
            journal.close()
        return cls(files, store, stored)


def _stored(journal: Journal, kind: Kind, series_uid: str, sop_uid: str, part10: bytes) -> dict[str, Any]:
    data_set = part10[len(part10) - len(kind.data_set) :]
    receipt = Receipt(
        sop_class_uid=kind.sop_class,
        sop_instance_uid=sop_uid,
        study_uid=series_uid,
        series_uid=series_uid,
        transfer_syntax_uid=kind.transfer_syntax,
        length=len(data_set),
        sha256=fingerprint(data_set, kind.transfer_syntax),
        calling_aet="BENCH",
        called_aet="DICOMNODE",
        peer="127.0.0.1",
        association="bench",
        received_at=datetime.now(UTC).isoformat(timespec="milliseconds"),
    )
    location = journal.append(receipt, data_set)
    uids = {"sop_class": kind.sop_class, "sop_instance": sop_uid, "transfer_syntax": kind.transfer_syntax}
    return {**vars(location), **uids}
