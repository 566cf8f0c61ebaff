"""The series that travels: a CT whose modality says how many images it has, sent at full speed or at a pace."""

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO

from pydicom import Dataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

from dicomnode.cli.bench.network.raw_sender import INSTANCE, SERIES, STUDY, Association, Failed, command_set, cut, uid
from dicomnode.cli.bench.network.sending import CALLING
from dicomnode.cli.bench.phantom import ct_series
from dicomnode.cli.common import fail
from dicomnode.cli.process import LOOPBACK

_META = 144
"""Preamble, prefix and the element that states the length of the file meta information (PS3.10 7.1)."""
_ANNOUNCED = b"\x20\x00\x02\x10IS"
_HEADER_BYTES = 4096
"""UIDs stand before the pixels; replacing them there leaves half a megabyte alone."""


@dataclass(frozen=True)
class Slices:
    """Encoded data sets in explicit VR little endian that hold the sender's placeholders for their UIDs."""

    data_sets: Sequence[bytes]
    size: int

    @classmethod
    def made(cls, count: int, size: int, description: str) -> "Slices":
        """A chest of `count` slices of `size` x `size` pixels of 16 bits, numbered, placed and announced."""
        return cls([_encoded(dataset, count, description) for dataset in ct_series(count, size)], size)

    def first(self, count: int) -> "Slices":
        """The first few; they announce as many images, so that the series is complete with them."""
        return Slices([_announcing(each, count) for each in self.data_sets[:count]], self.size)


@dataclass(frozen=True)
class Sent:
    """On the monotonic clock, in seconds: the first byte, and the last response, which every instance had."""

    series_uid: str
    began: float
    ended: float

    @property
    def seconds(self) -> float:
        return self.ended - self.began


def send(slices: Slices, port: int, called: str, *, associations: int = 1, pace: float = 0.0) -> Sent:
    """Send the slices as a new series over so many associations, which are open before the clock starts.

    `pace`: slices per second; 0: as fast as they are taken. Raises CommandFailed unless each is answered with 0000.
    """
    stamp = time.time_ns()
    order = {
        "host": LOOPBACK,
        "port": port,
        "called": called,
        "calling": CALLING,
        "sop_class": str(CTImageStorage),
        "transfer_syntax": str(ExplicitVRLittleEndian),
    }
    failures: list[str] = []
    ended: list[float] = []

    def store(association: Association, messages: Sequence[bytearray]) -> None:
        try:
            for number, message in enumerate(messages):
                if pace:
                    time.sleep(max(0.0, began + number * associations / pace - time.monotonic()))
                if status := association.store(message):
                    raise Failed(f"a slice was answered with {status:04X}")
            ended.append(time.monotonic())
            association.release()
        except (Failed, OSError, ValueError) as error:
            failures.append(str(error) or type(error).__name__)

    try:
        opened = [Association(order) for _ in range(associations)]
    except (Failed, OSError) as error:
        fail(f"{called} did not take an association: {error}")
    shares = [_messages(slices, stamp, one.largest, share, associations) for share, one in enumerate(opened)]
    threads = [threading.Thread(target=store, args=each) for each in zip(opened, shares, strict=True)]
    began = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        fail(f"sending to {called} stopped: {failures[0]}")
    return Sent(uid(stamp, 2, 0, 0), began, max(ended))


def _encoded(dataset: Dataset, count: int, description: str) -> bytes:
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID, dataset.SOPInstanceUID = STUDY, SERIES, INSTANCE
    dataset.ImagesInAcquisition, dataset.SeriesDescription = count, description
    buffer = BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    part10 = buffer.getvalue()
    return part10[_META + int.from_bytes(part10[_META - 4 : _META], "little") :]


def _announcing(data_set: bytes, count: int) -> bytes:
    """Another value of Images in Acquisition (0020,1002)."""
    at = data_set.index(_ANNOUNCED)
    length = int.from_bytes(data_set[at + 6 : at + 8], "little")
    return data_set[: at + 8] + str(count).encode().ljust(length) + data_set[at + 8 + length :]


def _messages(slices: Slices, stamp: int, largest: int, first: int, step: int) -> list[bytearray]:
    """Every `step`-th slice from `first` on, cut into PDUs under UIDs that nobody has seen."""
    return [
        _message(slices.data_sets[index], stamp, largest, index + 1)
        for index in range(first, len(slices.data_sets), step)
    ]


def _message(data_set: bytes, stamp: int, largest: int, serial: int) -> bytearray:
    header, pixels = data_set[:_HEADER_BYTES], data_set[_HEADER_BYTES:]
    own = uid(stamp, 3, 0, serial)
    for old, new in ((STUDY, uid(stamp, 1, 0, 0)), (SERIES, uid(stamp, 2, 0, 0)), (INSTANCE, own)):
        header = header.replace(old.encode(), new.encode(), 1)
    command = bytearray(command_set(str(CTImageStorage)).replace(INSTANCE.encode(), own.encode()))
    at = command.index(b"\x00\x00\x10\x01\x02\x00\x00\x00") + 8  # Message ID (0000,0110)
    command[at : at + 2] = (serial % 0xFFFF + 1).to_bytes(2, "little")
    return cut(bytes(command), header + pixels, largest)
