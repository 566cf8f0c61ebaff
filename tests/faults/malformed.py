"""What no library would send: every file of pydicom's own test files as raw bytes, and thirty seeded mutations."""

import hashlib
import random
import struct
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pydicom.data
from pydicom.uid import (
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    MRImageStorage,
)
from support.rawfiles import RawFile, raw_file

from dicomnode.domain.usable_uid import is_usable_uid


@dataclass(frozen=True)
class Request:
    """One C-STORE, byte by byte; `context_sop_class` if the presentation context names another class."""

    name: str
    sop_class: str
    sop_uid: str
    transfer_syntax: str
    data_set: bytes
    context_sop_class: str | None = None


def pydicom_files() -> Iterator[Request]:
    """Each file under pydicom's `data/test_files`, what is no DICOM too, by its path there.

    The command says what the data set says of itself; where that says nothing usable, a CT image with a UID of ours.
    """
    folder = Path(pydicom.data.__file__).parent / "test_files"
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        name = path.relative_to(folder).as_posix()
        invented = Request(name, CTImageStorage, _uid(name), ExplicitVRLittleEndian, path.read_bytes())
        try:
            file = raw_file(path)
        except Exception:  # whatever pydicom says of it: the node shall answer for itself
            yield invented
            continue
        yield Request(
            name,
            file.sop_class if is_usable_uid(file.sop_class) else invented.sop_class,
            file.sop_uid if is_usable_uid(file.sop_uid) else invented.sop_uid,
            file.transfer_syntax,
            file.data_set,
        )


MUTATIONS = 30


def mutations(images: Sequence[RawFile]) -> Iterator[Request]:
    """Thirty ways to spoil explicit VR little endian CT images, an image of its own for each; always the same ones."""
    for image, (name, spoil) in zip(images, _WAYS, strict=True):
        whole = Request(name, image.sop_class, image.sop_uid, image.transfer_syntax, image.data_set)
        yield spoil(whole, image)


def _flipped(whole: Request, count: int, seed: int) -> Request:
    """Bits of the header turned over."""
    chance, data_set = random.Random(seed), bytearray(whole.data_set)
    for _ in range(count):
        data_set[chance.randrange(_pixels(whole))] ^= 1 << chance.randrange(8)
    return replace(whole, data_set=bytes(data_set))


def _truncated(whole: Request, seed: int) -> Request:
    """Cut off somewhere in the header."""
    return replace(whole, data_set=whole.data_set[: random.Random(seed).randrange(8, _pixels(whole))])


def _inserted(whole: Request, elements: bytes) -> Request:
    """With these elements before the pixels."""
    at = _pixels(whole)
    return replace(whole, data_set=whole.data_set[:at] + elements + whole.data_set[at:])


def _nested(whole: Request, depth: int) -> Request:
    """Sequences within sequences within sequences."""
    opening = _element(b"SQ", _UNDEFINED) + struct.pack("<HHL", 0xFFFE, 0xE000, _UNDEFINED)
    closing = struct.pack("<HHLHHL", 0xFFFE, 0xE00D, 0, 0xFFFE, 0xE0DD, 0)
    return _inserted(whole, opening * depth + closing * depth)


def _deflated(whole: Request, megabytes: int) -> Request:
    """A header that inflates a thousand times."""
    at = _pixels(whole)
    deflater = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    parts = [deflater.compress(whole.data_set[:at] + _element(b"OB", megabytes << 20))]
    parts += [deflater.compress(bytes(1 << 20)) for _ in range(megabytes)]
    parts += [deflater.compress(whole.data_set[at:]), deflater.flush()]
    return replace(whole, transfer_syntax=DeflatedExplicitVRLittleEndian, data_set=b"".join(parts))


def _path_for(whole: Request, uid: str) -> Request:
    """A path out of the folder where the data set has a UID."""
    return replace(whole, data_set=whole.data_set.replace(uid.encode(), b"../../x".ljust(len(uid), b"0")))


def _with_pixel_length(whole: Request, length: int) -> Request:
    at = _pixels(whole)
    return replace(whole, data_set=whole.data_set[: at + 8] + struct.pack("<L", length) + whole.data_set[at + 12 :])


def _pixels(whole: Request) -> int:
    return whole.data_set.index(struct.pack("<HH", 0x7FE0, 0x0010))


def _element(vr: bytes, length: int) -> bytes:
    """The head of a private element that stands just before the pixels."""
    return struct.pack("<HH2sHL", 0x7FDF, 0x1010, vr, 0, length)


_UNDEFINED = 0xFFFFFFFF
_Spoil = Callable[[Request, RawFile], Request]
_WAYS: list[tuple[str, _Spoil]] = [
    *(
        (f"{count} bits flipped, seed {seed}", lambda whole, _, count=count, seed=seed: _flipped(whole, count, seed))
        for seed, count in enumerate((1, 1, 2, 4, 8, 16, 64, 256))
    ),
    *((f"header truncated, seed {seed}", lambda whole, _, seed=seed: _truncated(whole, seed)) for seed in range(4)),
    ("pixels truncated", lambda whole, _: replace(whole, data_set=whole.data_set[: _pixels(whole) + 100])),
    ("a value of 4 GiB promised", lambda whole, _: _inserted(whole, _element(b"OB", 0xFFFFFFF0))),
    ("a sequence without an end", lambda whole, _: _inserted(whole, _element(b"UN", _UNDEFINED))),
    ("pixels of 4 GiB promised", lambda whole, _: _with_pixel_length(whole, 0xFFFFFFF0)),
    *((f"sequences nested {depth} deep", lambda whole, _, depth=depth: _nested(whole, depth))
      for depth in (50, 150, 50_000)),
    *((f"header inflates to {size} MiB", lambda whole, _, size=size: _deflated(whole, size)) for size in (20, 400)),
    ("a path as SOP Instance UID of the command", lambda whole, _: replace(whole, sop_uid="../../x")),
    ("a path as SOP Instance UID of the data set", lambda whole, image: _path_for(whole, image.sop_uid)),
    ("a path as Series Instance UID", lambda whole, image: _path_for(whole, image.series_uid)),
    ("a path as Study Instance UID", lambda whole, image: _path_for(whole, image.study_uid)),
    ("a SOP Instance UID of 70 characters", lambda whole, _: replace(whole, sop_uid="1." + "2" * 68)),
    ("another SOP class in the command", lambda whole, _: replace(
        whole, sop_class=MRImageStorage, context_sop_class=MRImageStorage)),
    ("another SOP class in the context", lambda whole, _: replace(whole, context_sop_class=MRImageStorage)),
    ("explicit bytes in implicit syntax", lambda whole, _: replace(whole, transfer_syntax=ImplicitVRLittleEndian)),
    ("an empty data set", lambda whole, _: replace(whole, data_set=b"")),
]  # fmt: skip


def _uid(name: str) -> str:
    return f"2.25.{int(hashlib.sha256(name.encode()).hexdigest()[:24], 16)}"
