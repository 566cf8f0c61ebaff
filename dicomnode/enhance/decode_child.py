"""The process that compressed frames are decoded in: no torch, no database, no files, little memory, little time.

Native decoders have had memory errors (GDCM CVE-2026-3650, OpenJPEG, libjpeg) and meet bytes from the network here.
A crash, a hang or a bomb ends this process alone. Requests come on standard input and answers leave on what was
standard output: for each message `<IQ` (length of the header, length of the payload), a JSON header, the payload.

    request   {"transfer_syntax": UID, "elements": {keyword: value}, "cpu_seconds": n}   encapsulated PixelData
    answer    {"shape": [...], "dtype": "<u2"}  array in C order      or  {"error": "one sentence"}  nothing
"""

import json
import os
import resource
import struct
import sys
from typing import Any, BinaryIO

FRAME = struct.Struct("<IQ")
_HEADER_LIMIT = 65536


def write_message(stream: BinaryIO, header: dict[str, Any], payload: bytes | memoryview = b"") -> None:
    """Write one message and flush it."""
    text = json.dumps(header).encode()
    stream.write(FRAME.pack(len(text), len(payload)))
    stream.write(text)
    stream.write(payload)
    stream.flush()


def read_message(stream: BinaryIO, payload_limit: int) -> tuple[dict[str, Any], bytes]:
    """Read one message; EOFError where the stream ends, ValueError for lengths beyond the limits."""
    header_length, payload_length = FRAME.unpack(_exactly(stream, FRAME.size))
    if header_length > _HEADER_LIMIT or payload_length > payload_limit:
        raise ValueError("a message is longer than allowed")
    header = json.loads(_exactly(stream, header_length))
    if not isinstance(header, dict):
        raise ValueError("a message has no header")
    return header, _exactly(stream, payload_length)


def _exactly(stream: BinaryIO, length: int) -> bytes:
    data = stream.read(length)
    if len(data) < length:
        raise EOFError("the stream ended")
    return data


def _confine(memory_bytes: int) -> None:
    """Limits for the whole life of the process: address space, no files written, no core dumps."""
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _allow_cpu(seconds: int) -> None:
    """RLIMIT_CPU counts from the start of the process: allow `seconds` more than has been used."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (int(used.ru_utime + used.ru_stime) + 1 + seconds, hard))


def _decode(header: dict[str, Any], encapsulated: bytes) -> tuple[dict[str, Any], memoryview]:
    import numpy as np
    from pydicom import Dataset
    from pydicom.dataset import FileMetaDataset
    from pydicom.pixels.decoders.base import get_decoder
    from pydicom.uid import UID

    image = Dataset()
    image.file_meta = FileMetaDataset()
    image.file_meta.TransferSyntaxUID = UID(header["transfer_syntax"])
    for keyword, value in header["elements"].items():
        setattr(image, keyword, value)
    image.PixelData = encapsulated
    image["PixelData"].VR = "OB"
    pixels, _ = get_decoder(image.file_meta.TransferSyntaxUID).as_array(image)
    array = np.ascontiguousarray(pixels)
    array = array.astype(array.dtype.newbyteorder("<"), copy=False)
    return {"shape": list(array.shape), "dtype": array.dtype.str}, array.data.cast("B")


def _one_line(error: BaseException) -> str:
    reasons = str(error).rpartition("all available plugins:")[2]  # pydicom's list of what each decoder said
    lines = [" ".join(line.split()) for line in reasons.splitlines()]
    return "; ".join(filter(None, lines))[:300] or type(error).__name__


def main() -> None:
    """Serve requests until standard input ends. The argument is the limit of the address space in bytes."""
    memory_bytes = int(sys.argv[1])
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # native libraries print warnings on standard output
    import pydicom.pixels  # noqa: F401 - before the limits bite and the first image's clock starts

    _confine(memory_bytes)
    while True:
        try:
            header, encapsulated = read_message(sys.stdin.buffer, memory_bytes)
        except EOFError:
            return
        _allow_cpu(int(header["cpu_seconds"]))
        try:
            answer, pixels = _decode(header, encapsulated)
        except MemoryError:
            answer, pixels = {"error": f"decoding needs more than {memory_bytes >> 20} MiB of memory"}, memoryview(b"")
        except Exception as error:
            answer, pixels = {"error": _one_line(error)}, memoryview(b"")
        write_message(answers, answer, pixels)


if __name__ == "__main__":
    main()
