"""Who works on a store: several nodes beside each other, or one alone; each under a name that nobody else has there.

Two files hold locks that end with the process, however it ends. `lock` is shared by nodes that share their database,
and taken whole by one that cannot, and by the doctor when no node runs. `lock-NAME` is one node's own. In it lies the
boot of whoever holds it: what the next one finds there was a life of the same node, and is over.
"""

import fcntl
import os
import secrets
from contextlib import suppress
from pathlib import Path

ALL = "lock"
_OWN = "lock-{node}"
_NAME = "name"


class StoreTaken(Exception):
    """Somebody else works on the store; the message says who, and what to do."""


class StoreLock:
    """Held from `__init__` to `release`, or to the end of the process. `earlier`: boots of lives that are over."""

    def __init__(self, root: Path, node: str, boot: str, *, alone: bool) -> None:
        """Make the folder where needed. Raises StoreTaken and OSError."""
        root.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._node, self._boot = node, boot
        self._shared = _open(root / ALL)
        self._own = _open(root / _OWN.format(node=node))
        try:
            self._take(root, alone)
        except BaseException:
            self.release()
            raise
        self.earlier = frozenset(line.split()[1] for line in self._lines())
        self._sign()

    def settle(self) -> None:
        """The database knows of this life: those before it need not be remembered any more."""
        os.ftruncate(self._own, 0)
        self._sign()

    def release(self) -> None:
        for descriptor in (self._own, self._shared):
            with suppress(OSError):  # released already
                os.close(descriptor)

    def _sign(self) -> None:
        """Durably: what a power cut or a failing disk took would make a stranger of this node's next life."""
        os.write(self._own, f"{os.getpid()} {self._boot}\n".encode())
        os.fsync(self._own)

    def _take(self, root: Path, alone: bool) -> None:
        if not _locked(self._own, fcntl.LOCK_EX):
            raise StoreTaken(
                f"another dicomnode (process {_last(self._lines())}) already works on this store; stop it, or give "
                f"this one a store.root; several nodes on one store need a node.name each, and PostgreSQL"
            )
        if not _locked(self._shared, fcntl.LOCK_EX if alone else fcntl.LOCK_SH):
            others = ", ".join(_holders(root, self._node)) or "unknown"
            raise StoreTaken(
                f"another dicomnode (process {others}) already works on this store; stop it, or give this one a "
                f"store.root; several nodes on one store need PostgreSQL, all of them"
            )

    def _lines(self) -> list[str]:
        return _whole_lines(os.pread(self._own, 1 << 16, 0))


def store_name(root: Path) -> str:
    """The name that lies in a store, drawn when it was first asked for: nodes that read the same one share the folder.

    Raises OSError.
    """
    path, drawn = root / _NAME, root / f".{_NAME}-{secrets.token_hex(8)}"
    if not path.exists():
        drawn.write_text(f"{secrets.token_hex(8)}\n", encoding="ascii")
        with suppress(FileExistsError):  # another node's came first
            os.link(drawn, path)
        drawn.unlink()
    return path.read_text(encoding="ascii").strip()


def runs(root: Path, node: str) -> bool:
    """Whether a node of this name works on the store."""
    return _is_held(root / _OWN.format(node=node))


def _holders(root: Path, node: str) -> list[str]:
    others = (path for path in sorted(root.glob(_OWN.format(node="*"))) if path.name != _OWN.format(node=node))
    return [_last(_whole_lines(path.read_bytes())) for path in others if _is_held(path)]


def _is_held(path: Path) -> bool:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        return not _locked(descriptor, fcntl.LOCK_SH)
    finally:
        os.close(descriptor)


def _whole_lines(content: bytes) -> list[str]:
    """Lines of a process and a boot; what a crash cut short is none."""
    return [line for line in content.decode("ascii", "replace").splitlines() if len(line.split()) == 2]


def _last(lines: list[str]) -> str:
    return lines[-1].split()[0] if lines else "unknown"


def _open(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)


def _locked(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
