"""Boot settings: one TOML file and the environment, frozen after start. Changing them needs a restart.

Environment variables override the file: `DICOMNODE_DICOM__PORT=11113`, lists as JSON. Relative paths are relative to
the file. What may change while the node runs (rules, destinations) is site data and lives in SQL.
"""

import os
import tomllib
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict
from sqlalchemy.engine import make_url

from dicomnode.settings.audit import AuditSettings
from dicomnode.settings.confirmation import ConfirmationSettings
from dicomnode.settings.network import DicomSettings, PeerSettings, TlsIdentitySettings, TlsPortSettings
from dicomnode.settings.node import (
    DatabaseSettings,
    LogSettings,
    NodeSettings,
    StoreSettings,
)
from dicomnode.settings.web import OidcSettings, WebSettings
from dicomnode.settings.work import CompletionSettings, DeliverySettings, EngineSettings, PipelineSettings

__all__ = [
    "AuditSettings",
    "CompletionSettings",
    "ConfirmationSettings",
    "DatabaseSettings",
    "DeliverySettings",
    "DicomSettings",
    "EngineSettings",
    "LogSettings",
    "NodeSettings",
    "OidcSettings",
    "PeerSettings",
    "PipelineSettings",
    "Settings",
    "SettingsError",
    "StoreSettings",
    "TlsIdentitySettings",
    "TlsPortSettings",
    "WebSettings",
    "load_settings",
]

CONFIG_VARIABLE = "DICOMNODE_CONFIG"
DEFAULT_FILE = "dicomnode.toml"


class SettingsError(Exception):
    """The settings cannot be used; the message says which one and why."""


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
    confirmation: ConfirmationSettings = ConfirmationSettings()
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
            "audit": settings.audit.model_copy(update=_anchors(settings.audit, base)),
            "pipelines": settings.pipelines.model_copy(update={"path": base / settings.pipelines.path}),
            "web": settings.web.model_copy(update={"oidc": _based(settings.web.oidc, base)}),
        }
    )


def _based(files: BaseModel | None, base: Path) -> BaseModel | None:
    """The same with absolute paths."""
    if files is None:
        return None
    paths = {name: getattr(files, name, None) for name in ("ca", "cert", "key", "client_secret_file")}
    return files.model_copy(update={name: base / path for name, path in paths.items() if path is not None})


def _anchors(audit: AuditSettings, base: Path) -> dict[str, Path]:
    return {"anchors": base / audit.anchors} if audit.anchors else {}
