"""Whether a folder of pipelines was changed: by its files' names, sizes and times, never by what is in them."""

from pathlib import Path

Stamp = frozenset[tuple[str, int, int]]
"""(path in the folder, size in bytes, modification time in ns) of each file that a pipeline may consist of."""

_SUFFIXES = (".py", ".toml", ".safetensors")


def stamp(folder: Path) -> Stamp:
    """The folder as it is now; empty if there is none. A file that vanishes meanwhile is passed over."""
    found = []
    for path in folder.rglob("*"):
        if path.suffix in _SUFFIXES:
            try:
                status = path.stat()
            except OSError:
                continue
            found.append((str(path.relative_to(folder)), status.st_size, status.st_mtime_ns))
    return frozenset(found)
