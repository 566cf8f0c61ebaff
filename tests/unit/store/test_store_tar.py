import io
import subprocess
import tarfile

import pytest

from dicomnode.store import tar


@pytest.mark.parametrize("size", [0, 1, 511, 512, 513, 18_000_000])
def test_header_survives_the_round_trip(size: int) -> None:
    assert tar.unpack(tar.pack("17.dcm", size)) == tar.Header("17.dcm", size)


def test_python_reads_what_is_packed() -> None:
    body = b"x" * 700
    archive = tar.pack("0.dcm", 700) + body + tar.padding(700) + tar.END_OF_ARCHIVE
    with tarfile.open(fileobj=io.BytesIO(archive)) as opened:
        member = opened.next()
        assert member is not None
        assert (member.name, member.size, member.mode) == ("0.dcm", 700, 0o600)


def test_gnu_tar_lists_an_archive_without_an_end() -> None:
    archive = tar.pack("0.dcm", 3) + b"abc" + tar.padding(3) + tar.pack("0.receipt", 0)
    listed = subprocess.run(["tar", "tf", "-"], input=archive, capture_output=True, check=True)
    assert listed.stdout.split() == [b"0.dcm", b"0.receipt"]
    assert listed.stderr == b""


def test_any_changed_byte_is_noticed() -> None:
    block = tar.pack("3.receipt", 400)
    for position in range(tar.BLOCK):
        damaged = bytearray(block)
        damaged[position] ^= 0x55
        assert tar.unpack(bytes(damaged)) is None, position


def test_a_size_that_ustar_cannot_say_is_refused() -> None:
    assert tar.unpack(tar.pack("0.dcm", tar.MAX_MEMBER_BYTES)) == tar.Header("0.dcm", 8**11 - 1)
    with pytest.raises(ValueError, match="does not fit"):
        tar.pack("0.dcm", 8**11)
