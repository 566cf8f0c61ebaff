"""CT images by the thousand: one phantom, written once, with UIDs of a fixed length that are replaced in place."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory

from pydicom import dcmread
from support.rawfiles import RawFile
from support.series import make_ct_series

_STUDY, _SERIES, _INSTANCE = 1, 2, 3
_NUMBER = b"\x20\x00\x13\x00IS\x06\x00"
"""The head of Instance Number (0020,0013)."""


@dataclass(frozen=True)
class Template:
    """A data set and where in it the UIDs, the instance number's last digits and the pixels stand."""

    data_set: bytes
    sop_class: str
    transfer_syntax: str
    pixels: int

    def instance(self, series: int, number: int, *, study: int | None = None, pixels: int = 0) -> RawFile:
        """Image `number` (1 to 999,999) of a series, which has a study of its own unless told; `pixels` alters them."""
        study = series if study is None else study
        uids = {
            _STUDY: _uid(_STUDY, study, 0),
            _SERIES: _uid(_SERIES, series, 0),
            _INSTANCE: _uid(_INSTANCE, series, number),
        }
        data_set = bytearray(self.data_set)
        for level, uid in uids.items():
            _replace(data_set, _uid(level, 0, 0).encode(), uid.encode())
        _replace(data_set, _NUMBER + b"000000", _NUMBER + f"{number:06d}".encode())
        data_set[self.pixels : self.pixels + 4] = struct.pack("<HH", number % 4096, pixels % 4096)
        return RawFile(Path(), self.sop_class, uids[_INSTANCE], uids[_STUDY], uids[_SERIES], self.transfer_syntax,
                       bytes(data_set))  # fmt: skip

    def series(self, series: int, count: int, *, study: int | None = None) -> Iterator[RawFile]:
        """Images 1 to `count`."""
        return (self.instance(series, number, study=study) for number in range(1, count + 1))


@cache
def ct_template(rows: int = 512) -> Template:
    """CT images of `rows` x `rows` x 16 bit, explicit VR little endian."""
    with TemporaryDirectory() as folder:
        dataset = dcmread(make_ct_series(Path(folder), 1, rows=rows)[0])
    dataset.StudyInstanceUID = _uid(_STUDY, 0, 0)
    dataset.SeriesInstanceUID = _uid(_SERIES, 0, 0)
    dataset.SOPInstanceUID = _uid(_INSTANCE, 0, 0)
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    dataset.InstanceNumber = "000000"
    buffer = BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    whole = buffer.getvalue()
    data_set = whole[144 + int.from_bytes(whole[140:144], "little") :]
    pixels = data_set.index(struct.pack("<HH", 0x7FE0, 0x0010)) + 12
    return Template(data_set, str(dataset.SOPClassUID), str(dataset.file_meta.TransferSyntaxUID), pixels)


def _uid(level: int, series: int, number: int) -> str:
    """40 characters, whatever it is of."""
    return f"2.25.1{level}{series:016d}{number:017d}"


def _replace(data_set: bytearray, old: bytes, new: bytes) -> None:
    at = data_set.index(old)
    data_set[at : at + len(old)] = new
