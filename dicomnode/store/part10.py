"""What stands before a data set in a DICOM Part 10 file (PS3.10 7.1), and the data set's fingerprint."""

import hashlib
from dataclasses import dataclass, replace
from struct import pack

from dicomnode.domain.instance import Receipt
from dicomnode.domain.uid import IMPLEMENTATION_CLASS_UID

Buffer = bytes | bytearray | memoryview
"""What a data set may come in: anything that can be written without a copy."""

IMPLEMENTATION_VERSION_NAME = "DICOMNODE"
"""SH, at most 16 characters (PS3.10 table 7.1-1)."""

_PREAMBLE = bytes(128) + b"DICM"
"""Zeros: whatever a sender could put there (an executable, a TIFF: CVE-2019-11687) is none of our business."""


@dataclass(frozen=True)
class FileMeta:
    """What the file meta information says of an instance whose receipt is not written yet."""

    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    calling_aet: str


def fingerprint(data_set: Buffer, transfer_syntax_uid: str) -> str:
    """SHA-256 (hex) of the data set as it came, followed by its transfer syntax UID: `Receipt.sha256`."""
    digest = hashlib.sha256(data_set)
    digest.update(transfer_syntax_uid.encode())
    return digest.hexdigest()


def attest(receipt: Receipt, data_set: Buffer) -> Receipt:
    """The receipt with the data set's fingerprint, where it has none yet."""
    if receipt.sha256:
        return receipt
    return replace(receipt, sha256=fingerprint(data_set, receipt.transfer_syntax_uid))


def prefix(told: FileMeta | Receipt) -> bytes:
    """Preamble, `DICM` and the file meta information of a received instance; the data set follows.

    Written by hand, explicit VR little endian (PS3.10 7.1): pydicom needs 400 us for the same 300 bytes.
    """
    elements = b"".join(
        (
            b"\x02\x00\x01\x00OB\0\0\x02\0\0\0\x00\x01",
            _element(0x0002, b"UI", told.sop_class_uid),
            _element(0x0003, b"UI", told.sop_instance_uid),
            _element(0x0010, b"UI", told.transfer_syntax_uid),
            _element(0x0012, b"UI", IMPLEMENTATION_CLASS_UID),
            _element(0x0013, b"SH", IMPLEMENTATION_VERSION_NAME),
            _element(0x0016, b"AE", told.calling_aet),
        )
    )
    return _PREAMBLE + pack("<HH2sHL", 2, 0, b"UL", 4, len(elements)) + elements


def _element(number: int, vr: bytes, text: str) -> bytes:
    value = text.encode("ascii", "replace")
    if len(value) % 2:
        value += b"\0" if vr == b"UI" else b" "
    return pack("<HH2sH", 2, number, vr, len(value)) + value
