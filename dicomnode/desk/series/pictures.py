"""Slices of a series as small pictures: before, after, and what changed. Made on the node, within bounds.

Native pixel data is read by numpy, compressed frames in the decoding child process, as for an enhancement; no network
is loaded. One frame of one slice is drawn at a time, and the last few are kept.
"""

import hashlib
import threading
from collections import OrderedDict
from dataclasses import dataclass

import numpy as np
from pydicom import Dataset

from dicomnode.db.models.stored import Stored
from dicomnode.db.repositories import series_slices
from dicomnode.db.repositories.series_slices import Slice
from dicomnode.desk.patients import viewed
from dicomnode.desk.person import Person
from dicomnode.desk.refused import Refused
from dicomnode.desk.series.drawing import Drawn, Grey, Pictures, draw
from dicomnode.desk.series.finding import find
from dicomnode.desk.series.frames import frame_count, reduce_to_frame
from dicomnode.domain.instance import Location
from dicomnode.enhance.decode import DecodeLimits, Decoder
from dicomnode.enhance.errors import CannotDecode
from dicomnode.enhance.modality import modality_lut
from dicomnode.flow import Flow
from dicomnode.store.header import UnreadableHeader
from dicomnode.store.reading import read_dataset

_FILE_BYTES = 128 << 20
_LIMITS = DecodeLimits(decoded_bytes=128 << 20, memory_bytes=1 << 30, cpu_seconds=10, wall_seconds=20.0)
_IDLE_SECONDS = 30.0
"""After the last compressed frame its decoding process ends: who goes from frame to frame starts no other one."""

_KEPT = 24
"""Drawn slices that are kept: three pictures of some 100 kB each."""

_GONE = {"purged": "retention gave up its bytes", "missing": "its bytes are missing", "damaged": "it is damaged"}
_LUMINANCE = np.array([0.299, 0.587, 0.114])
"""Of red, green and blue (ITU-R BT.601), as YBR_FULL has it (PS3.3 C.7.6.3.1.2)."""


@dataclass(frozen=True)
class Shelf:
    """One slice of a series as a page shows it: which job, the how-manieth of how many.

    `frame` (from 1) is the one asked for of an image that has several; None: the middle one. `key`: what is drawn of
    equal ones is equal.
    """

    slice: Slice
    job: int
    number: int
    count: int
    frame: int | None
    key: str


class Gallery:
    """Draws slices, one at a time however many ask, and keeps the last few. Threads may share it."""

    def __init__(self, flow: Flow) -> None:
        self._flow = flow
        self._turn = threading.Lock()
        self._drawn: OrderedDict[str, Pictures] = OrderedDict()
        self._decoder = Decoder(_LIMITS)
        self._idle: threading.Timer | None = None

    def find(self, person: Person, uid: str, job: int, number: int | None = None, frame: int | None = None) -> Shelf:
        """Slice `number` (1: the first; None: the middle one) of what `job` made, or with job 0 of the originals.

        Records that `person` looked. Raises Refused where there is no such slice.
        """
        with self._flow.database.read() as session:
            series = find(session, uid)
            count = series_slices.count(session, uid, job)
            number = (count + 1) // 2 if number is None else number
            found = series_slices.at(session, uid, job, number - 1) if 0 < number <= count else None
        if not count:
            raise Refused(f"job {job} made no images" if job else "the series has no images", "missing")
        if found is None:
            raise Refused(f"there is no slice {number}: there are {count}", "missing")
        about, study = "the pictures of a series", series.study_uid
        viewed(self._flow, person, about, kind="image.viewed", study_uid=study, series_uid=uid)
        return Shelf(found, job, number, count, frame, _key(found, frame))

    def draw(self, shelf: Shelf) -> Pictures:
        """The pictures of a slice. Never raises for what is in the images: `missing` says what is wrong with them.

        A frame beyond the last one is the last one: how many there are is not known before the file is read.
        """
        with self._turn:
            drawn = self._drawn.pop(shelf.key, None) or self._draw(shelf)
            self._drawn[shelf.key] = drawn
            if shelf.frame is None and drawn.frames > 1:  # the page that shows the middle one asks for it by its number
                self._drawn[_key(shelf.slice, drawn.frame)] = drawn
            while len(self._drawn) > _KEPT:
                self._drawn.popitem(last=False)
            return drawn

    def _draw(self, shelf: Shelf) -> Pictures:
        try:
            return draw(_gathered(self._flow, self._decoder, shelf.slice, shelf.frame))
        finally:
            self._rest_soon()

    def _rest_soon(self) -> None:
        if self._idle is not None:
            self._idle.cancel()
            self._idle = None
        if self._decoder.process.pid is not None:
            self._idle = threading.Timer(_IDLE_SECONDS, self.close)
            self._idle.daemon = True
            self._idle.start()

    def close(self) -> None:
        """End the decoding process, if there is one; the next compressed frame starts another."""
        with self._turn:
            self._decoder.close()


def _key(of: Slice, frame: int | None) -> str:
    told = [str(frame), *(f"{row.sha256} {row.gone}" if row else "" for row in (of.source, of.output))]
    return hashlib.sha256("\n".join(told).encode()).hexdigest()


class _NoPicture(Exception):
    """Why there is none, in a sentence."""


def _gathered(flow: Flow, decoder: Decoder, of: Slice, frame: int | None) -> Drawn:
    """What is there to draw of the original and of what was made of it, frame by frame the same one."""
    found = Drawn()
    for name, row in (("before", of.source), ("after", of.output)):
        try:
            if row is not None:
                image = _read(flow, row)
                count = frame_count(image)
                number = min(frame or (count + 1) // 2, count)
                if name == "before":
                    found.frame, found.frames = number, count
                found.values[name], found.headers[name] = _values(decoder, image, number, count), image
        except (_NoPicture, CannotDecode) as error:
            found.missing[name] = str(error)
    return found


def _read(flow: Flow, row: Stored) -> Dataset:
    if row.gone:
        raise _NoPicture(_GONE.get(row.gone, row.gone))
    if row.length > _FILE_BYTES:
        raise _NoPicture(f"it has {row.length >> 20} MiB, more than is drawn here ({_FILE_BYTES >> 20} MiB)")
    try:
        return read_dataset(flow.root, Location(row.container, row.offset, row.length))
    except (UnreadableHeader, EOFError) as error:
        raise _NoPicture(str(error)) from error
    except OSError as error:
        raise _NoPicture(f"its bytes cannot be read: {error.strerror}") from error
    except Exception as error:  # pydicom raises many kinds for bytes that are no data set
        raise _NoPicture("it cannot be read as DICOM") from error


def _values(decoder: Decoder, image: Dataset, number: int, count: int) -> Grey:
    """Physical values (H, W) of frame `number` of `count`; of a colour image its luminance. Raises CannotDecode."""
    if count > 1:
        reduce_to_frame(image, number - 1)
    stored = decoder.decode(image)
    return np.asarray(stored @ _LUMINANCE, dtype=np.float32) if stored.ndim == 3 else modality_lut(image, stored)
