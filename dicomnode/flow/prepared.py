"""enhance -> derive: instances written while the network still runs, as if nothing would be flagged.

Most series are not. Where one is, what was prepared does not count: its instances are written once more from the
spilled pixels, with the reason in them (docs/adr/0004). So a flag costs the writing of a few instances, and a series
without one waits for nothing when its last slice is done.
"""

import hashlib
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from dicomnode.derive import DerivedInstance
from dicomnode.derive.errors import BrokenInstance, CannotDerive
from dicomnode.domain.verdict import Verdict
from dicomnode.enhance.images import EnhancedSlice
from dicomnode.enhance.spill import Spill


@dataclass(frozen=True)
class Written:
    """What the ledger keeps of a derived instance; the bytes are in the container."""

    source_sop_uid: str
    sop_uid: str
    sop_class_uid: str
    transfer_syntax_uid: str
    sha256: str

    @classmethod
    def of(cls, instance: DerivedInstance) -> "Written":
        return cls(
            instance.source_sop_uid,
            instance.sop_instance_uid,
            instance.sop_class_uid,
            instance.transfer_syntax_uid,
            hashlib.sha256(instance.file_bytes).hexdigest(),
        )


class Prepared:
    """Enhanced slices of a series and, as long as none is flagged, the files made of them; all on disk.

    `derive` writes the instance of a slice when nothing is flagged. Raises OSError. Nothing is left behind.
    """

    def __init__(self, folder: Path, derive: Callable[[EnhancedSlice], DerivedInstance]) -> None:
        self._spill = Spill(folder)
        self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - closed by __exit__
        self._made: list[tuple[Written, int]] = []
        self._derive = derive
        self._goes_on = True

    def __len__(self) -> int:
        return len(self._spill)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
        self._spill.__exit__(kind, error, trace)

    def add(self, enhanced: EnhancedSlice) -> None:
        """Keep one slice, and write its instance unless that would be in vain.

        An instance that cannot be written is no error yet: the series may be withheld for another reason.
        """
        self._spill.add(enhanced)
        self._goes_on &= all(figure.verdict is Verdict.PASS for figure in enhanced.figures)
        if not self._goes_on:
            return
        try:
            instance = self._derive(enhanced)
        except (CannotDerive, BrokenInstance):
            self._goes_on = False
            return
        self._file.write(instance.file_bytes)
        self._made.append((Written.of(instance), len(instance.file_bytes)))

    def files(
        self, flagged: Callable[[EnhancedSlice], DerivedInstance] | None, note: Callable[[Written], None]
    ) -> Iterator[bytes]:
        """The files of all slices in the order in which they came; `note` is told of each before it is given.

        `flagged` writes the instances anew where the series is flagged. Raises what deriving raises.
        """
        taken = 0 if flagged else len(self._made)
        self._file.seek(0)
        for written, length in self._made[:taken]:
            note(written)
            yield self._file.read(length)
        for enhanced in self._spill.slices(taken):
            instance = (flagged or self._derive)(enhanced)
            note(Written.of(instance))
            yield instance.file_bytes
