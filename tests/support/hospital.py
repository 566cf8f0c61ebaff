"""A hospital that speaks TLS: its authority, its node and scanners, a stranger; and clients to show what they have."""

import ssl
import subprocess
from pathlib import Path
from typing import Any

from support.certificates import OPENSSL, Authority, Identity
from support.modality import Modality, Rejected
from support.peers import dcmtk

_ABORT = b"\x07\0\0\0\0\4\0\0\0\0"


class Hospital:
    """Certificates under `folder`. The node's is of RSA, so that every kind of suite could be tried on it."""

    def __init__(self, folder: Path) -> None:
        self.authority, self.stranger = Authority(folder / "hospital"), Authority(folder / "stranger")
        self.node = self.authority.issue("node", key=("rsa:2048",), days=90)
        self.ct1, self.ct2 = self.authority.issue("ct1.example.org"), self.authority.issue("ct2.example.org")
        self.expired = self.authority.issue("ct1.example.org", days=-1)
        self.forged = self.stranger.issue("ct1.example.org")

    @property
    def files(self) -> dict[str, str]:
        """The node's files as the settings name them."""
        return {"cert": str(self.node.cert), "key": str(self.node.key), "ca": str(self.authority.cert)}

    def client(self, identity: Identity | None) -> ssl.SSLContext:
        """A context that shows this certificate."""
        context = ssl.create_default_context(cafile=str(self.authority.cert))
        if identity is not None:
            context.load_cert_chain(identity.cert, identity.key)
        return context

    def shown(self, identity: Identity | None) -> tuple[str, ...]:
        """DCMTK's options to speak TLS and show this certificate, or none."""
        own = ("+tls", str(identity.key), str(identity.cert)) if identity else ("+tla",)
        return (*own, "+cf", str(self.authority.cert))

    def handshake(self, port: int, *options: str | Path) -> bool:
        """Whether openssl with ct1's certificate and these options of s_client is let in.

        With TLS 1.3 a refusal comes after the client's part of the handshake: hence a word, and what is said to it.
        """
        own = ("-cert", self.ct1.cert, "-key", self.ct1.key)
        command: list[Any] = [OPENSSL, "s_client", "-connect", f"127.0.0.1:{port}", "-ign_eof", "-brief", *own]
        done = subprocess.run([*command, *options], input=_ABORT, capture_output=True, timeout=60.0, check=False)
        return b"CONNECTION ESTABLISHED" in done.stderr and b"alert" not in done.stderr.lower()


def echo(port: int, *options: str, called: str = "DICOMNODE", calling: str = "CT1") -> bool:
    """C-ECHO with DCMTK's echoscu: whether it succeeded."""
    command = [dcmtk("echoscu"), *options, "-aet", calling, "-aec", called, "127.0.0.1", str(port)]
    return subprocess.run(command, capture_output=True, timeout=60.0, check=False).returncode == 0


def asked(
    port: int, calling: str, source: str, tls: ssl.SSLContext | None = None, *, called: str = "DICOMNODE"
) -> tuple[int, int, int] | int:
    """What an association from this address gets: A-ASSOCIATE-RJ's three numbers, or the status of a C-ECHO."""
    try:
        with Modality(port, called, calling, source=source, tls=tls) as modality:
            return modality.echo()
    except Rejected as rejected:
        return rejected.answer
