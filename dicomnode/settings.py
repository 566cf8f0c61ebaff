"""Boot settings: one TOML file and the environment, frozen after start. Changing them needs a restart.

Environment variables override the file: `DICOMNODE_DICOM__PORT=11113`, lists as JSON. Relative paths are relative to
the file. What may change while the node runs (rules, destinations) is site data and lives in SQL.
"""

import os
import platform
import re
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict
from sqlalchemy.engine import make_url

from dicomnode.domain import peer

CONFIG_VARIABLE = "DICOMNODE_CONFIG"
DEFAULT_FILE = "dicomnode.toml"


class SettingsError(Exception):
    """The settings cannot be used; the message says which one and why."""


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class NodeSettings(_Section):
    """Who this node is, among several on one database."""

    name: str = ""

    @field_validator("name")
    @classmethod
    def _file_name(cls, name: str) -> str:
        name = name or re.sub(r"[^A-Za-z0-9-]", "-", platform.node()) or "node"
        if not re.fullmatch(r"[A-Za-z0-9-]{1,40}", name):
            raise ValueError("letters, digits and hyphens only, at most 40")
        return name


class TlsPortSettings(_Section):
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


class TlsIdentitySettings(_Section):
    """What the node shows to, and wants from, destinations that name it. Without `cert` it shows no certificate."""

    ca: Path
    cert: Path | None = None
    key: Path | None = None

    @model_validator(mode="after")
    def _both(self) -> "TlsIdentitySettings":
        if (self.cert is None) != (self.key is None):
            raise ValueError("`cert` and `key` go together: a certificate and its private key")
        return self


class PeerSettings(_Section):
    """What a calling AE title must show, and may do. What is left out demands nothing; of a list, one suffices."""

    addresses: tuple[str, ...] = ()
    fingerprints: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    tls: bool = False
    verbs: tuple[Literal["store", "echo"], ...] = Field(("store", "echo"), min_length=1)

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


class DicomSettings(_Section):
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
            if (rule.tls or rule.needs_certificate) and self.tls is None:
                raise ValueError(f"peers.{title} asks for TLS, and there is no [dicom.tls]: it could never call")
            if rule.needs_certificate and self.tls is not None and self.tls.client == "none":
                raise ValueError(f'peers.{title} asks for a certificate, and tls.client is "none": it could never call')
        return self


class DatabaseSettings(_Section):
    """Where the state lives."""

    url: str = "sqlite:///var/dicomnode.db"


class StoreSettings(_Section):
    """Where the bytes live. `max_backlog`: stored but not yet indexed instances before A700."""

    root: Path = Path("var/store")
    min_free_gb: float = Field(1.0, ge=0)
    max_backlog: int = Field(10_000, ge=1)
    retention_days: float = Field(0.0, ge=0)
    """Series that nothing happened to for so long are given up. 0: never. What cannot be undone is never a default."""
    keep_free_gb: float = Field(0.0, ge=0)
    """Below this much free space the oldest series go first, however young. 0: never."""

    @model_validator(mode="after")
    def _above_the_mark(self) -> Self:
        if 0 < self.keep_free_gb <= self.min_free_gb:
            raise ValueError("keep_free_gb must be above min_free_gb: below that nothing is received any more")
        return self


class CompletionSettings(_Section):
    """When a series counts as complete. `per_sender` maps a calling AE title to its own quiet time."""

    quiet_seconds: float = Field(60.0, ge=0)
    grace_seconds: float = Field(1.0, ge=0)
    per_sender: dict[str, float] = Field(default_factory=dict)


class EngineSettings(_Section):
    """Workers. `devices`: "auto" or a list such as ["cpu"] or ["cuda:0", "cuda:1"]; one worker each."""

    kind: Literal["local"] = "local"
    address: Literal[""] = ""
    """Of a cluster; engines other than "local" come in a later version."""
    devices: Literal["auto"] | tuple[str, ...] = "auto"
    lease_seconds: float = Field(60.0, gt=0)
    max_seconds: float = Field(3600.0, gt=0)
    max_attempts: int = Field(3, ge=1)
    retry_seconds: float = Field(5.0, ge=0)


class DeliverySettings(_Section):
    """Sending. Back-off is exponential with jitter, from `backoff_first` to `backoff_cap` seconds."""

    associations: int = Field(1, ge=1, le=32)
    """Open to one destination at a time, unless its entry in the site data says otherwise. One keeps the order."""
    backoff_first: float = Field(1.0, gt=0)
    backoff_cap: float = Field(30.0, gt=0)
    connect_timeout: float = Field(10.0, gt=0)
    response_timeout: float = Field(60.0, gt=0)


class PipelineSettings(_Section):
    """An administrator's own pipelines, beside the bundled ones."""

    path: Path = Path("pipelines")


class WebSettings(_Section):
    """The HTTP listener."""

    host: str = "127.0.0.1"
    port: int = Field(8080, ge=1, le=65535)


class AuditSettings(_Section):
    """The audit log. Events are sealed into the chain this often."""

    seal_seconds: float = Field(1.0, gt=0)
    syslog: Literal[""] = ""
    """Where events are copied to; not in this version."""


class LogSettings(_Section):
    """Logging, on stderr."""

    format: Literal["console", "json"] = "console"
    level: Literal["debug", "info", "warning", "error"] = "info"


class Settings(BaseSettings):
    """All boot settings, validated as a whole."""

    model_config = SettingsConfigDict(
        env_prefix="DICOMNODE_",
        env_nested_delimiter="__",
        extra="forbid",
        frozen=True,
        nested_model_default_partial_update=True,
    )

    node: NodeSettings = Field(default_factory=lambda: NodeSettings(name=""), validate_default=True)
    dicom: DicomSettings = DicomSettings()
    database: DatabaseSettings = DatabaseSettings()
    store: StoreSettings = StoreSettings()
    completion: CompletionSettings = CompletionSettings()
    engine: EngineSettings = EngineSettings()
    delivery: DeliverySettings = DeliverySettings()
    pipelines: PipelineSettings = PipelineSettings()
    web: WebSettings = WebSettings()
    audit: AuditSettings = AuditSettings()
    log: LogSettings = LogSettings()
    tls: dict[str, TlsIdentitySettings] = Field(default_factory=dict)
    """The node's identities towards destinations, by the name that site data call them."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The environment wins over the file, whose values come in as init arguments."""
        return env_settings, init_settings


def load_settings(file: Path | None = None) -> Settings:
    """Settings from `file`, else from the file DICOMNODE_CONFIG names, else ./dicomnode.toml if there, else defaults.

    Raises SettingsError with one line per problem.
    """
    path = _config_file(file)
    document: dict[str, Any] = {}
    if path is not None:
        try:
            document = tomllib.loads(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise SettingsError(f"cannot read the settings file {path}: {error}") from error
    try:
        settings = Settings(**document)
    except ValidationError as error:
        raise SettingsError("\n".join(_plain(problem) for problem in error.errors())) from error
    return _resolve(settings, (path.parent if path else Path.cwd()).resolve())


def _config_file(file: Path | None) -> Path | None:
    named = file or (Path(os.environ[CONFIG_VARIABLE]) if os.environ.get(CONFIG_VARIABLE) else None)
    if named is not None:
        if not named.is_file():
            raise SettingsError(f"there is no settings file {named}")
        return named
    return Path(DEFAULT_FILE) if Path(DEFAULT_FILE).is_file() else None


def _plain(problem: Any) -> str:
    where = ".".join(str(part) for part in problem["loc"])
    return f"setting {where}: {problem['msg'].removeprefix('Value error, ')}"


def _resolve(settings: Settings, base: Path) -> Settings:
    """The same settings with absolute paths."""
    try:
        url = make_url(settings.database.url)
    except Exception as error:
        raise SettingsError(f"setting database.url: {error}") from error
    if url.get_backend_name() == "sqlite" and url.database and url.database != ":memory:":
        url = url.set(database=str(base / url.database))
    return settings.model_copy(
        update={
            "dicom": settings.dicom.model_copy(update={"tls": _based(settings.dicom.tls, base)}),
            "tls": {name: _based(identity, base) for name, identity in settings.tls.items()},
            "database": settings.database.model_copy(update={"url": url.render_as_string(hide_password=False)}),
            "store": settings.store.model_copy(update={"root": base / settings.store.root}),
            "pipelines": settings.pipelines.model_copy(update={"path": base / settings.pipelines.path}),
        }
    )


def _based(files: TlsPortSettings | TlsIdentitySettings | None, base: Path) -> BaseModel | None:
    """The same with absolute paths."""
    if files is None:
        return None
    paths = {name: getattr(files, name) for name in ("ca", "cert", "key")}
    return files.model_copy(update={name: base / path for name, path in paths.items() if path is not None})
