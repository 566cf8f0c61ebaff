import errno
import os
from pathlib import Path

import pytest

from dicomnode.store.writeback import start_writeback

PAGE = os.sysconf("SC_PAGESIZE")


def test_it_takes_whole_pages(tmp_path: Path) -> None:
    with (tmp_path / "x").open("wb", buffering=0) as file:
        file.write(bytes(10 * PAGE))
        assert start_writeback(file.fileno(), 0, 10 * PAGE) == 10 * PAGE
        assert start_writeback(file.fileno(), PAGE, 10 * PAGE - 1) == 9 * PAGE
        assert start_writeback(file.fileno(), 5, PAGE + 5) == PAGE, "no whole page"


def test_it_says_what_fails(tmp_path: Path) -> None:
    with (tmp_path / "x").open("wb", buffering=0) as file:
        descriptor = file.fileno()
    with pytest.raises(OSError, match="Bad file descriptor") as raised:
        start_writeback(descriptor, 0, PAGE)
    assert raised.value.errno == errno.EBADF


def test_where_it_means_nothing_it_does_nothing() -> None:
    reader, writer = os.pipe()
    assert start_writeback(writer, 0, PAGE) == PAGE
    os.close(reader)
    os.close(writer)
