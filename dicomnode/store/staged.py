"""Containers written in one go: the outputs of an attempt, staged until the fenced commit points to them."""

import contextlib
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from dicomnode.domain.instance import Location
from dicomnode.store import tar
from dicomnode.store.container import store_error, sync_directory, write_all
from dicomnode.store.part10 import Buffer


def write_container(root: Path, name: str, files: Iterable[Buffer]) -> list[Location]:
    """Write complete Part 10 files as the members of a new container `root/name`; returns where each one lies.

    Durable on return: one data sync, then the directories made. On any error the file is removed again; after a
    crash it may stay, whole or torn, with nothing that points to it: whoever owns the folder sweeps it. Raises
    StoreFull or StoreFailed, and FileExistsError: a container is never overwritten.
    """
    path = root / name
    try:
        made = _make_folders(root, path.parent)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        raise
    except OSError as error:
        raise store_error(error) from error
    try:
        locations = _write(descriptor, name, files)
        os.fdatasync(descriptor)
        for directory in {path.parent, *made}:
            sync_directory(directory)
    except BaseException as error:
        path.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise store_error(error) from error
        raise
    finally:
        os.close(descriptor)
    return locations


def link_containers(root: Path, names: Mapping[str, str]) -> dict[str, str]:
    """Give containers that `write_container` wrote a second name, durably; either may be removed then.

    `names` are the second names by the first ones, all in one folder. Returns those given: a file system may have no
    hard links, and a container may be gone. Raises StoreFull or StoreFailed.
    """
    linked: dict[str, str] = {}
    try:
        made = {folder for new in names.values() for folder in _make_folders(root, (root / new).parent)}
        for name, new in names.items():
            with contextlib.suppress(OSError):
                os.link(root / name, root / new)
                linked[name] = new
        for directory in made | {(root / new).parent for new in linked.values()}:
            sync_directory(directory)
    except OSError as error:
        raise store_error(error) from error
    return linked


def _write(descriptor: int, name: str, files: Iterable[Buffer]) -> list[Location]:
    locations: list[Location] = []
    offset = 0
    for number, file in enumerate(files):
        size = len(file)
        locations.append(Location(name, offset + tar.BLOCK, size))
        offset += write_all(descriptor, (tar.pack(f"{number}.dcm", size), file, tar.padding(size)))
    write_all(descriptor, (tar.END_OF_ARCHIVE,))
    return locations


def _make_folders(root: Path, folder: Path) -> list[Path]:
    """Make `folder`; returns the directories that gained an entry, which need a sync of their own."""
    missing = [parent for parent in (folder, *folder.parents) if root in parent.parents and not parent.exists()]
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return [parent.parent for parent in missing]
