import hashlib
import io

import pytest
from pydicom import dcmread
from support.rawfiles import sample

from dicomnode.domain.uid import IMPLEMENTATION_CLASS_UID
from dicomnode.store import part10


@pytest.mark.parametrize("calling_aet", ["A", "AB", "SIXTEEN_LETTERS_", "mit Leerzeichen"])
def test_pydicom_reads_the_prefix(calling_aet: str) -> None:
    file = sample()
    prefix = part10.prefix(file.receipt(calling_aet=calling_aet))
    read = dcmread(io.BytesIO(prefix + file.data_set))
    assert prefix[:128] == bytes(128)
    assert read.file_meta.FileMetaInformationGroupLength == len(prefix) - 144
    assert read.file_meta.MediaStorageSOPClassUID == file.sop_class
    assert read.file_meta.MediaStorageSOPInstanceUID == file.sop_uid
    assert read.file_meta.TransferSyntaxUID == file.transfer_syntax
    assert read.file_meta.ImplementationClassUID == IMPLEMENTATION_CLASS_UID
    assert read.file_meta.ImplementationVersionName == part10.IMPLEMENTATION_VERSION_NAME
    assert read.file_meta.SourceApplicationEntityTitle == calling_aet
    assert read.pixel_array.shape == (128, 128)


def test_fingerprint_is_of_data_set_and_syntax() -> None:
    assert part10.fingerprint(b"abc", "1.2") == hashlib.sha256(b"abc1.2").hexdigest()
    assert part10.fingerprint(b"abc", "1.2") != part10.fingerprint(b"abc", "1.2.1")
