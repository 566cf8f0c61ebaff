"""What a pipeline's code says, as a hash: part of no identity, but what was made ahead by other code is not used."""

import hashlib
from functools import lru_cache
from pathlib import Path

_CODE = (".py", ".toml")
_SHARED = ("site-packages", "dist-packages")


@lru_cache(maxsize=64)
def code_sha256(file: Path) -> str:
    """SHA-256 (hex) over the pipeline's file and the code beside it and below, which it may import; read once in a
    process, as the code itself is. Raises OSError."""
    folder = file.parent
    beside = [file] if folder.name in _SHARED else sorted(p for p in folder.rglob("*") if p.suffix in _CODE)
    digest = hashlib.sha256()
    for path in beside:
        content = path.read_bytes()
        digest.update(f"{path.relative_to(folder)} {len(content)}\n".encode())
        digest.update(content)
    return digest.hexdigest()
