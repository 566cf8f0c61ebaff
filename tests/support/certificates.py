"""Certificates for a test's length, made by openssl: authorities, and what they vouch for, good or bad on purpose."""

import hashlib
import itertools
import ssl
import subprocess
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pytest

OPENSSL = Path("/usr/bin/openssl")
_ELLIPTIC = ("ec", "-pkeyopt", "ec_paramgen_curve:P-256")


def openssl(*arguments: str | Path) -> str:
    """Run openssl; fail with what it said if it did not work."""
    if not OPENSSL.exists():
        pytest.fail(f"this test needs {OPENSSL}: install openssl")
    done = subprocess.run([OPENSSL, *arguments], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.fail(f"openssl {' '.join(map(str, arguments))}: {done.stderr}")
    return done.stdout


@dataclass(frozen=True)
class Identity:
    """A certificate and its key, as files."""

    cert: Path
    key: Path

    @cached_property
    def der(self) -> bytes:
        return ssl.PEM_cert_to_DER_cert(self.cert.read_text(encoding="ascii"))

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the DER in hexadecimal digits."""
        return hashlib.sha256(self.der).hexdigest()


class Authority:
    """A certification authority of its own under `folder`, which it makes."""

    def __init__(self, folder: Path, name: str = "Test CA") -> None:
        folder.mkdir(parents=True)
        self._folder, self._numbers = folder, itertools.count(1)
        self.cert, self._key = folder / "ca.pem", folder / "ca.key"
        openssl(
            *("req", "-x509", "-nodes", "-days", "30", "-subj", f"/CN={name}", "-newkey", *_ELLIPTIC),
            *("-addext", "keyUsage=critical,keyCertSign,cRLSign", "-keyout", self._key, "-out", self.cert),
        )

    def issue(
        self,
        name: str,
        alternatives: str = "DNS:localhost,IP:127.0.0.1",
        *,
        days: int = 30,
        key: tuple[str, ...] = _ELLIPTIC,
    ) -> Identity:
        """A certificate for this common name; with a negative number of `days` it has expired."""
        stem = self._folder / f"{next(self._numbers)}-{name.replace('*', 'any')}"
        cert, private, request, extensions = (stem.with_suffix(f".{each}") for each in ("pem", "key", "csr", "ext"))
        extensions.write_text(f"basicConstraints=CA:FALSE\nsubjectAltName={alternatives}\n", encoding="ascii")
        openssl("req", "-new", "-nodes", "-subj", f"/CN={name}", "-newkey", *key, "-keyout", private, "-out", request)
        openssl(
            *("x509", "-req", "-sha256", "-in", request, "-CA", self.cert, "-CAkey", self._key, "-CAcreateserial"),
            *("-days", str(days), "-extfile", extensions, "-out", cert),
        )
        return Identity(cert, private)
