"""Settings of the pages and the API: where they listen, who comes in how, what they show."""

from ipaddress import ip_address
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Field, SecretStr, field_validator, model_validator

from dicomnode.domain import peer
from dicomnode.domain.roles import Role
from dicomnode.settings.section import Section

PRIVATE_NETWORKS = (
    "127.0.0.0/8",
    "10.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "::1/128",
    "fc00::/7",
)
"""Loopback and the private ranges (RFC 1918, RFC 4193)."""
THIS_MACHINE = ("127.0.0.1/32", "::1/128")
LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})


def _origin(text: str) -> str:
    """`https://dicom.example:8443`: a scheme, a host and perhaps a port. Raises ValueError for anything more."""
    parts = urlsplit(text.rstrip("/"))
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.path or parts.query:
        raise ValueError(f"{text!r} is no address such as https://dicom.example, without a path")
    return text.rstrip("/")


class OidcSettings(Section):
    """Sign-in by an OpenID Connect provider: authorization code with PKCE."""

    issuer: str
    client_id: str = Field(min_length=1)
    client_secret: SecretStr = SecretStr("")
    client_secret_file: Path | None = None
    """Holds the secret, alone; instead of `client_secret`."""
    label: str = "the hospital's sign-in"
    """What the button of the sign-in page calls it."""
    scopes: tuple[str, ...] = ("openid", "profile")
    name_claim: str = "preferred_username"
    """What the audit log calls the person."""
    groups_claim: str = "groups"
    """A list of names, in the ID token or else in what the provider's userinfo says."""
    roles: dict[
        str, Annotated[tuple[Role, ...], BeforeValidator(lambda said: [said] if isinstance(said, str) else said)]
    ]
    """Group to role, or to several. Who is in none of these groups does not come in."""
    token_days: int = Field(30, ge=1)
    """Tokens of people who come in by the provider are dead so long after their last sign-in: only then it says
    whether they still may."""
    ca: Path | None = None
    """Certificates that vouch for the provider; without: those of the system."""

    @field_validator("issuer")
    @classmethod
    def _is_safe(cls, text: str) -> str:
        parts = urlsplit(text)
        if not parts.hostname or parts.scheme not in ("http", "https"):
            raise ValueError(f"{text!r} is no address such as https://sign-in.example/realms/hospital")
        if parts.scheme == "http" and parts.hostname not in LOOPBACK_NAMES:
            raise ValueError("a provider without https could be anybody")
        return text

    @field_validator("scopes")
    @classmethod
    def _asks_for_identity(cls, scopes: tuple[str, ...]) -> tuple[str, ...]:
        return scopes if "openid" in scopes else ("openid", *scopes)

    @model_validator(mode="after")
    def _one_secret(self) -> "OidcSettings":
        if self.client_secret.get_secret_value() and self.client_secret_file is not None:
            raise ValueError("`client_secret` and `client_secret_file` are the same thing twice: keep one")
        return self


class WebSettings(Section):
    """The HTTP listener, sign-in, and what pages may show and reach."""

    host: str = "127.0.0.1"
    port: int = Field(8080, ge=1, le=65535)
    public_url: str = ""
    """How browsers call this node, such as "https://dicom.example", where that is not `host` and `port`: behind a
    proxy that ends TLS, or by a name."""
    proxies: tuple[str, ...] | None = None
    """Reverse proxies, by address or range: whom a request comes from, and whether by https, is what these say
    (X-Forwarded-For, X-Forwarded-Proto). The brake on guessing is by that address. Without: this machine's own, if
    `public_url` says that there is one."""
    session_idle_minutes: int = Field(30, ge=1)
    """A session without a request for so long is over."""
    session_hours: float = Field(12.0, gt=0)
    """A session is over after so long, however busy it is."""
    lockout_failures: int = Field(5, ge=1)
    """Wrong passwords in a row after which an account takes none, for `lockout_minutes`."""
    lockout_minutes: int = Field(15, ge=1)
    hide_patient_names: bool = True
    """Names and identifiers of patients are shown when asked for only, for `reveal_minutes`, and the audit tells."""
    reveal_minutes: int = Field(15, ge=1)
    silence_hours: float = Field(4.0, ge=0, le=24)
    """A sender from which nothing came for so long, at an hour when it usually sends, is named on Today. 0: never."""
    destination_networks: tuple[str, ...] = PRIVATE_NETWORKS
    """Where a destination that is edited in the browser may lie: addresses and ranges of them."""
    oidc: OidcSettings | None = None

    @field_validator("public_url")
    @classmethod
    def _is_origin(cls, text: str) -> str:
        return _origin(text) if text else text

    @field_validator("destination_networks", "proxies")
    @classmethod
    def _ranges(cls, texts: tuple[str, ...] | None) -> tuple[str, ...] | None:
        return None if texts is None else tuple(str(peer.address_range(text)) for text in texts)

    @model_validator(mode="after")
    def _comes_back(self) -> "WebSettings":
        if self.oidc is not None and not self.public_url:
            raise ValueError("oidc needs `public_url`: the provider sends people back to it")
        return self

    @property
    def believed_proxies(self) -> tuple[str, ...]:
        """Nobody where no proxy is set up: anybody on this machine could come from wherever they say."""
        return self.proxies if self.proxies is not None else THIS_MACHINE if self.public_url else ()

    @property
    def beyond_loopback(self) -> bool:
        """Whether other machines can reach the listener."""
        try:
            return not ip_address(self.host).is_loopback
        except ValueError:
            return self.host not in LOOPBACK_NAMES
