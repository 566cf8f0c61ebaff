"""An instance to send, and how many fit into one association."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from pydicom import dcmread
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from dicomnode.deliver.association import MAX_CONTEXTS, Syntax
from dicomnode.deliver.content import Content, InMemory, OnDisk
from dicomnode.domain.instance import Location

NATIVE_SYNTAXES = (str(ExplicitVRLittleEndian), str(ImplicitVRLittleEndian))
"""What an instance may be transcoded to, in the order of preference; every peer must take the second (PS3.5 10.1)."""


@dataclass(frozen=True)
class Outgoing:
    """One instance to send. `read` is called right before sending, once for each attempt.

    It gives the complete Part 10 file: as bytes, or as Content that is read while it goes out. Make one with
    `from_location` or `from_file`, unless the bytes are in memory anyway.
    """

    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    read: Callable[[], bytes | Content]

    @classmethod
    def from_location(
        cls, root: Path, sop_class_uid: str, sop_instance_uid: str, transfer_syntax_uid: str, location: Location
    ) -> "Outgoing":
        """An instance of the store under `root`."""
        return cls(sop_class_uid, sop_instance_uid, transfer_syntax_uid, partial(OnDisk.at, root, location))

    @classmethod
    def from_file(cls, path: Path) -> "Outgoing":
        """A DICOM file. Raises OSError, EOFError, InvalidDicomError, and AttributeError where it lacks its UIDs."""
        header = dcmread(path, stop_before_pixels=True, specific_tags=["SOPClassUID", "SOPInstanceUID"])
        syntax = str(header.file_meta.TransferSyntaxUID)
        return cls(str(header.SOPClassUID), str(header.SOPInstanceUID), syntax, partial(OnDisk, path))

    @property
    def syntax(self) -> Syntax:
        return self.sop_class_uid, self.transfer_syntax_uid

    def content(self) -> Content:
        """The Part 10 file, opened. Raises what `read` raises."""
        found = self.read()
        return InMemory(found) if isinstance(found, bytes) else found


def proposals(outgoings: Iterable[Outgoing], *, transcoding: bool) -> list[Syntax]:
    """What to propose for these instances: what they are stored in, then what they can be transcoded to."""
    stored = list(dict.fromkeys(outgoing.syntax for outgoing in outgoings))
    classes = dict.fromkeys(sop_class for sop_class, _ in stored) if transcoding else {}
    return list(dict.fromkeys([*stored, *((each, native) for each in classes for native in NATIVE_SYNTAXES)]))


def batches(outgoings: Iterable[Outgoing], *, transcoding: bool = False) -> Iterator[Sequence[Outgoing]]:
    """Split into runs, in order, whose proposals each fit into the 128 presentation contexts of one association."""
    batch: list[Outgoing] = []
    syntaxes: set[Syntax] = set()
    for outgoing in outgoings:
        needed = set() if outgoing.syntax in syntaxes else set(proposals([outgoing], transcoding=transcoding))
        if len(syntaxes | needed) > MAX_CONTEXTS:
            yield batch
            batch, syntaxes = [], set()
        batch.append(outgoing)
        syntaxes |= needed
    if batch:
        yield batch
