"""Early writeback: the disk works while a process still receives or hashes, and the data sync that follows is short."""

import ctypes
import errno
import mmap
import os

_WRITE = 2
"""SYNC_FILE_RANGE_WRITE of sync_file_range(2): start, and wait for nothing."""

_UNKNOWN_HERE = frozenset({errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP, errno.ESPIPE, errno.EPERM})
"""The system call is not there, is not for this kind of file, or is filtered: the data sync does all the work then."""

_sync_file_range = getattr(ctypes.CDLL(None, use_errno=True), "sync_file_range", None)
if _sync_file_range is not None:
    _sync_file_range.argtypes = (ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint)


def start_writeback(descriptor: int, begin: int, end: int) -> int:
    """Have the kernel begin to write bytes `[begin, end)` of a file to its disk; returns where it stopped.

    It takes whole pages only: one that is shared with what stands before is not the caller's to fail with, and one
    that is still being filled would be written twice. Makes nothing durable. Raises OSError: what was refused here, a
    data sync may not report again.
    """
    begin += -begin % mmap.PAGESIZE
    end -= end % mmap.PAGESIZE
    if _sync_file_range is None or end <= begin:
        return begin
    if _sync_file_range(descriptor, begin, end - begin, _WRITE) != 0:
        number = ctypes.get_errno()
        if number not in _UNKNOWN_HERE:
            raise OSError(number, os.strerror(number))
    return end
