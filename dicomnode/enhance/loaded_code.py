"""Which code the pipelines of this process are: of each module the file as it was when it was imported.

A folder may be edited at any time, and a process that reads it later decides by other code. What a module was imported
from is therefore hashed once, as soon as it is there; one that is read again is another module.
"""

import hashlib
import sys
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType
from weakref import WeakKeyDictionary

_sha256: WeakKeyDictionary[ModuleType, str] = WeakKeyDictionary()


def loaded_code(packages: Iterable[str]) -> dict[str, str]:
    """SHA-256 (hex) by module name of all that has been imported from these packages, or modules, until now."""
    wanted = tuple(packages)
    modules = sorted(sys.modules.copy().items())  # other threads import meanwhile
    return {
        name: _hash(module)
        for name, module in modules
        if any(name == each or name.startswith(f"{each}.") for each in wanted)
    }


def _hash(module: ModuleType) -> str:
    """Empty for what has no file, a folder that stands as a package for instance."""
    if module not in _sha256:
        file = getattr(module, "__file__", None)
        try:
            _sha256[module] = hashlib.sha256(Path(file).read_bytes()).hexdigest() if file else ""
        except OSError:
            _sha256[module] = ""
    return _sha256[module]
