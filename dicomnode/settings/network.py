"""Settings of the DICOM listener, of TLS both ways, and of the peers that may call."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from dicomnode.domain import peer
from dicomnode.settings.section import Section


class TlsPortSettings(Section):
    """The TLS port. `ca` vouches for clients; `client`: whether they must show a certificate. `only`: no other port."""

    port: int = Field(2762, ge=1, le=65535)
    cert: Path
    key: Path
    ca: Path | None = None
    client: Literal["require", "request", "none"] = "require"
    only: bool = False

    @model_validator(mode="after")
    def _vouched_for(self) -> "TlsPortSettings":
        if self.client != "none" and self.ca is None:
            raise ValueError('`ca` is missing: the file of certificates that vouch for clients, or client = "none"')
        return self


class TlsIdentitySettings(Section):
    """What the node shows to, and wants from, destinations that name it. Without `cert` it shows no certificate."""

    ca: Path
    cert: Path | None = None
    key: Path | None = None

    @model_validator(mode="after")
    def _both(self) -> "TlsIdentitySettings":
        if (self.cert is None) != (self.key is None):
            raise ValueError("`cert` and `key` go together: a certificate and its private key")
        return self


class PeerSettings(Section):
    """What a calling AE title must show, and may do. What is left out demands nothing; of a list, one suffices."""

    addresses: tuple[str, ...] = ()
    fingerprints: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    tls: bool = False
    verbs: tuple[Literal["store", "echo", "commit"], ...] = Field(("store", "echo", "commit"), min_length=1)
    """What it may do. "commit", to ask for storage commitment, needs `dicom.commitment` as well."""
    report_to: str | None = None
    """HOST:PORT where it is told what became of its storage commitment; without: where a destination has its title."""

    @field_validator("report_to")
    @classmethod
    def _is_address(cls, text: str | None) -> str | None:
        return None if text is None else "{}:{}".format(*peer.host_and_port(text))

    @field_validator("addresses")
    @classmethod
    def _ranges(cls, texts: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(str(peer.address_range(text)) for text in texts)

    @field_validator("fingerprints")
    @classmethod
    def _digests(cls, texts: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(peer.fingerprint(text) for text in texts)

    @property
    def needs_certificate(self) -> bool:
        return bool(self.fingerprints or self.names)


class DicomSettings(Section):
    """The DICOM listener."""

    ae_title: str = "DICOMNODE"
    host: str = "127.0.0.1"
    port: int = Field(11112, ge=1, le=65535)
    check_called_aet: bool = True
    allowed_calling_aets: tuple[str, ...] = ()
    echo_only_aets: tuple[str, ...] = ()
    """Calling AE titles that may open associations and C-ECHO, but whose C-STORE is answered with 0124."""
    max_associations: int = Field(64, ge=1)
    network_timeout: float = Field(60.0, gt=0)
    """Seconds between messages of an open association; one over which nothing comes for so long is aborted."""
    artim_timeout: float = Field(10.0, gt=0)
    """Seconds from a connection to its whole association request, and from our last word to its close (PS3.8 9.1.5)."""
    pdu_timeout: float = Field(30.0, gt=0)
    """Seconds from a PDU's first byte to its last: whoever stalls inside one is cut."""
    max_pdu: int = Field(131_072, ge=4096, le=1 << 20)
    """The longest P-DATA-TF that senders are told to send, in bytes."""
    processes: Literal["auto"] | Annotated[int, Field(ge=1, le=64)] = "auto"
    """Receiving processes. "auto": one for each core, four at most: more would wait for each other's data syncs on the
    same disk, and take cores from the work on what they received. An idle one has about 55 MB.
    """
    commitment_hours: float = Field(24.0, gt=0)
    """How long a modality's request for storage commitment waits until everything in it is decided, at most; and how
    long the modality is tried after that.
    """
    commitment: bool = False
    """Whether peers may ask for storage commitment, which promises that this node, or where it forwards to, keeps what
    they list. What this node asked of others, they may report in any case.
    """
    tls: TlsPortSettings | None = None
    peers: dict[str, PeerSettings] = Field(default_factory=dict)
    """Rules per calling AE title; "*" for every other."""

    @field_validator("ae_title")
    @classmethod
    def _ae_title(cls, title: str) -> str:
        peer.ae_title(title)
        return title

    @field_validator("peers")
    @classmethod
    def _titles(cls, peers: dict[str, PeerSettings]) -> dict[str, PeerSettings]:
        by_title = {peer.ae_title(title): rule for title, rule in peers.items()}
        if len(by_title) < len(peers):
            raise ValueError("two titles differ by spaces at their ends only: they are the same (PS3.5 6.2)")
        return by_title

    @model_validator(mode="after")
    def _hold_together(self) -> "DicomSettings":
        if self.tls is not None and self.tls.port == self.port and not self.tls.only:
            raise ValueError(f"port {self.port} is the plain and the TLS port: set tls.port, or tls.only = true")
        for title, rule in self.peers.items():
            if title in self.echo_only_aets:
                raise ValueError(f"{title} is in echo_only_aets and has a rule: set peers.{title}.verbs instead")
            if title == peer.ANY_OTHER and rule.report_to is not None:
                raise ValueError('peers."*" has report_to: that is one peer\'s own address, so name the peer')
            if (rule.tls or rule.needs_certificate) and self.tls is None:
                raise ValueError(f"peers.{title} asks for TLS, and there is no [dicom.tls]: it could never call")
            if rule.needs_certificate and self.tls is not None and self.tls.client == "none":
                raise ValueError(f'peers.{title} asks for a certificate, and tls.client is "none": it could never call')
        return self
