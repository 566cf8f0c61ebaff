"""The ports of a node: opened once by the node itself, inherited by all its receiving processes."""

from collections.abc import Sequence
from dataclasses import dataclass
from socket import socket
from typing import TYPE_CHECKING

from dicomnode.receive.listening import CannotListen, listen

if TYPE_CHECKING:
    from dicomnode.settings import DicomSettings


@dataclass(frozen=True)
class Addresses:
    """Where the node is to be reached; a port that is None is not opened."""

    host: str
    plain: int | None
    tls: int | None

    def __str__(self) -> str:
        named = (f"port {self.plain}" if self.plain else "", f"port {self.tls} (TLS)" if self.tls else "")
        return " and ".join(filter(None, named))

    @classmethod
    def of(cls, dicom: "DicomSettings") -> "Addresses":
        """As the settings have it."""
        tls = dicom.tls
        return cls(dicom.host, None if tls and tls.only else dicom.port, tls.port if tls else None)


@dataclass(frozen=True)
class Ports:
    """Listening sockets, without and with TLS."""

    plain: Sequence[socket] = ()
    tls: Sequence[socket] = ()

    @classmethod
    def open(cls, addresses: Addresses) -> "Ports":
        """Listen on all of them, or on none. Raises PortTaken or CannotListen."""
        plain = [] if addresses.plain is None else [listen(addresses.host, addresses.plain)]
        try:
            return cls(plain, [] if addresses.tls is None else [listen(addresses.host, addresses.tls)])
        except CannotListen:
            cls(plain).close()
            raise

    def close(self) -> None:
        """Let go of them; receiving processes keep theirs."""
        for each in (*self.plain, *self.tls):
            each.close()
