"""What durable receiving cannot do without on this disk: hash, write and data sync of an instance, and nothing else.

    python scripts/measure_floor.py [FOLDER]

Appends to one file for each writer and syncs after each instance, as a container does, in plain system calls. Prints
milliseconds of each step for one writer, and instances/s for one and four. `dicomnode bench receive` says what a
receiver makes of it.
"""

import hashlib
import os
import statistics
import sys
import threading
import time
from pathlib import Path

SIZES = {"CT": 526_000, "MR": 36_000}
COUNTS = {"CT": 400, "MR": 1500}
WRITERS = (1, 4)


def append(folder: Path, name: str, data: bytes, count: int) -> list[tuple[float, float, float]]:
    """Milliseconds of hash, write and data sync for each of `count` instances at the end of one file."""
    path, steps = folder / name, []
    descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_APPEND, 0o600)
    try:
        for _ in range(count):
            began = time.perf_counter()
            hashlib.sha256(data).digest()
            hashed = time.perf_counter()
            os.write(descriptor, data)
            written = time.perf_counter()
            os.fdatasync(descriptor)
            done = time.perf_counter()
            steps.append((1e3 * (hashed - began), 1e3 * (written - hashed), 1e3 * (done - written)))
    finally:
        os.close(descriptor)
        path.unlink()
    return steps


def rate(folder: Path, data: bytes, count: int, writers: int) -> float:
    """Instances per second of several writers, each with a file of its own."""
    each = count // writers
    threads = [threading.Thread(target=append, args=(folder, f"floor-{n}", data, each)) for n in range(writers)]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return writers * each / (time.perf_counter() - began)


def main() -> None:
    """One line for each kind of instance."""
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else ".")
    for kind, size in SIZES.items():
        data = os.urandom(size)
        os.sync()
        steps = append(folder, "floor", data, COUNTS[kind])
        hashed, written, synced = (statistics.median(step) for step in zip(*steps, strict=True))
        rates = ", ".join(f"{rate(folder, data, COUNTS[kind], writers):.0f}/s with {writers}" for writers in WRITERS)
        line = f"{kind}: hash {hashed:.2f} ms, write {written:.2f} ms, data sync {synced:.2f} ms; {rates} writers"
        sys.stdout.write(line + "\n")


if __name__ == "__main__":
    main()
