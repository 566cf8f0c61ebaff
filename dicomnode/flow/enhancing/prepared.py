"""enhance -> derive: instances written while the network still runs, as if nothing would be flagged.

Most series are not. Where one is, what was prepared does not count: its instances are written once more from the
spilled pixels, with the reason in them (docs/adr/0004). So a flag costs the writing of a few instances, and a series
without one waits for nothing when its last slice is done.
"""

import tempfile
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from types import TracebackType
from typing import Self

from pydicom import dcmread

from dicomnode.derive import DerivedInstance
from dicomnode.derive.errors import BrokenInstance, CannotDerive
from dicomnode.domain.verdict import Verdict
from dicomnode.enhance.images import EnhancedSlice, KnownSlice
from dicomnode.enhance.spill import Spill
from dicomnode.flow.enhancing.written import Written
from dicomnode.flow.head_start.made_ahead import Kept
from dicomnode.store.reading import read_bytes

Derive = Callable[[EnhancedSlice], DerivedInstance]


@dataclass(frozen=True)
class _Made:
    """A slice computed by this job: its number in the spill, and the instance written of it, if one was."""

    sop_uid: str
    number: int
    written: Written | None
    length: int = 0


class Prepared:
    """Enhanced slices of a series and, as long as none is flagged, the files made of them; all on disk.

    `derive` writes the instance of a slice when nothing is flagged. What was made ahead lies in containers under
    `root`. Raises OSError. Nothing is left behind in `folder`.
    """

    def __init__(self, root: Path, folder: Path, derive: Derive) -> None:
        self._spill = Spill(folder)
        self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - closed by __exit__
        self._slices: list[_Made | Kept] = []
        self._root, self._derive = root, derive
        self._goes_on = True

    def __len__(self) -> int:
        return len(self._slices)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
        self._spill.__exit__(kind, error, trace)

    @property
    def sop_uids(self) -> list[str]:
        """The sources of the slices, in the order in which they came."""
        return [one.sop_uid for one in self._slices]

    @property
    def kept(self) -> list[Kept]:
        """The slices that were made ahead."""
        return [one for one in self._slices if isinstance(one, Kept)]

    def recall(self, known: KnownSlice) -> None:
        """The next slice was made ahead: its instance lies there already."""
        assert isinstance(known, Kept)
        self._slices.append(known)

    def add(self, enhanced: EnhancedSlice) -> None:
        """Keep one slice, and write its instance unless that would be in vain.

        An instance that cannot be written is no error yet: the series may be withheld for another reason.
        """
        self._spill.add(enhanced)
        self._goes_on &= all(figure.verdict is Verdict.PASS for figure in enhanced.figures)
        self._slices.append(self._write(enhanced))

    def _write(self, enhanced: EnhancedSlice) -> _Made:
        number = len(self._spill) - 1
        if not self._goes_on:
            return _Made(enhanced.sop_uid, number, None)
        try:
            instance = self._derive(enhanced)
        except (CannotDerive, BrokenInstance):
            self._goes_on = False
            return _Made(enhanced.sop_uid, number, None)
        self._file.write(instance.file_bytes)
        return _Made(enhanced.sop_uid, number, Written.of(instance), len(instance.file_bytes))

    def files(
        self, flagged: Derive | None, note: Callable[[Written], None], passing_over: Collection[Kept] = ()
    ) -> Iterator[bytes]:
        """The files of all slices in the order in which they came; `note` is told of each before it is given.

        `flagged` writes the instances anew where the series is flagged. Raises what deriving raises.
        """
        self._file.seek(0)
        left_out = {one.written.sop_uid for one in passing_over}
        for one in self._slices:
            if isinstance(one, Kept) and one.written.sop_uid in left_out:
                continue
            if flagged is None and one.written is not None:
                note(one.written)
                yield self._content(one)
                continue
            instance = (flagged or self._derive)(self._pixels(one))
            note(Written.of(instance))
            yield instance.file_bytes

    def _content(self, one: "_Made | Kept") -> bytes:
        return read_bytes(self._root, one.location) if isinstance(one, Kept) else self._file.read(one.length)

    def _pixels(self, one: "_Made | Kept") -> EnhancedSlice:
        """As computed, or as its instance stores them: writing them once more changes nothing of that."""
        if isinstance(one, _Made):
            return self._spill.slice(one.number)
        pixels = dcmread(BytesIO(read_bytes(self._root, one.location))).pixel_array
        return EnhancedSlice(one.sop_uid, pixels, "stored", one.figures, one.contributors)
