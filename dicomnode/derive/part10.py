"""The file around a data set (PS3.10 7.1): preamble and file meta information."""

import struct

from pydicom.uid import ExplicitVRLittleEndian

from dicomnode import __version__
from dicomnode.derive.encode import packed
from dicomnode.domain.uid import IMPLEMENTATION_CLASS_UID

TRANSFER_SYNTAX = str(ExplicitVRLittleEndian)
IMPLEMENTATION_VERSION_NAME = f"DICOMNODE_{__version__}"[:16]


def part10(sop_class_uid: str, sop_instance_uid: str, ae_title: str, data_set: bytes) -> bytes:
    """A complete file: 128 zero bytes, DICM, group 2, and the data set in Explicit VR Little Endian."""
    meta = b"".join(
        (
            packed(0x00020001, "OB", b"\0\1"),
            packed(0x00020002, "UI", sop_class_uid.encode()),
            packed(0x00020003, "UI", sop_instance_uid.encode()),
            packed(0x00020010, "UI", TRANSFER_SYNTAX.encode()),
            packed(0x00020012, "UI", IMPLEMENTATION_CLASS_UID.encode()),
            packed(0x00020013, "SH", IMPLEMENTATION_VERSION_NAME.encode()),
            packed(0x00020016, "AE", ae_title.encode("ascii", "replace")[:16]),
        )
    )
    length = packed(0x00020000, "UL", struct.pack("<I", len(meta)))
    return b"".join((bytes(128), b"DICM", length, meta, data_set))
