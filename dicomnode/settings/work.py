"""Settings of the way through the node: completion, enhancing, delivering."""

from pathlib import Path
from typing import Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, field_validator

from dicomnode.domain.off_peak import OffPeak, Window
from dicomnode.settings.section import Section


class CompletionSettings(Section):
    """When a series counts as complete. `per_sender` maps a calling AE title to its own quiet time."""

    quiet_seconds: float = Field(60.0, ge=0)
    grace_seconds: float = Field(1.0, ge=0)
    per_sender: dict[str, float] = Field(default_factory=dict)


class EngineSettings(Section):
    """Workers. `devices`: "auto" or a list such as ["cpu"] or ["cuda:0", "cuda:1"]; one worker each."""

    kind: Literal["local"] = "local"
    address: Literal[""] = ""
    """Of a cluster; engines other than "local" come in a later version."""
    devices: Literal["auto"] | tuple[str, ...] = "auto"
    lease_seconds: float = Field(60.0, gt=0)
    max_seconds: float = Field(3600.0, gt=0)
    max_attempts: int = Field(3, ge=1)
    retry_seconds: float = Field(5.0, ge=0)
    head_start: bool = True
    """Whether idle workers enhance slices of series that are still coming in."""
    head_start_gb: float = Field(4.0, gt=0)
    """The most that such slices may take in the store, all series together."""
    off_peak: str = ""
    """Hours such as "19:00-06:00" in which work of priority "off-peak" may start; empty: always."""
    time_zone: str = ""
    """Whose hours, such as "Europe/Berlin"; empty: those of the machine."""
    max_backlog: int = Field(100, ge=1)
    """Jobs that wait for each device from which on a rule with `on_overload: originals` gets none of its own."""

    @property
    def device_count(self) -> int:
        """How many jobs run at a time."""
        return 1 if self.devices == "auto" else len(self.devices)

    @property
    def off_peak_hours(self) -> OffPeak:
        return OffPeak.of(self.off_peak, self.time_zone)

    @field_validator("off_peak")
    @classmethod
    def _is_window(cls, text: str) -> str:
        return str(Window.parse(text)) if text else text

    @field_validator("time_zone")
    @classmethod
    def _is_zone(cls, name: str) -> str:
        try:
            return ZoneInfo(name).key if name else name
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise ValueError(f"there is no time zone {name!r}; its name is one such as Europe/Berlin") from None


class DeliverySettings(Section):
    """Sending. Back-off is exponential with jitter, from `backoff_first` to `backoff_cap` seconds.

    `lease_seconds`: another node goes on with a delivery whose node has been silent for so long. `refused_seconds`:
    how long, at most, until a destination that refused the association for good is asked again.
    """

    associations: int = Field(4, ge=1, le=32)
    """Open to one destination at a time, at most, unless its entry in the site data says otherwise: for long series and
    for several deliveries at once. One keeps the order.
    """
    backoff_first: float = Field(1.0, gt=0)
    backoff_cap: float = Field(30.0, gt=0)
    connect_timeout: float = Field(10.0, gt=0)
    response_timeout: float = Field(60.0, gt=0)
    lease_seconds: float = Field(30.0, ge=1)
    refused_seconds: float = Field(300.0, gt=0)


class PipelineSettings(Section):
    """An administrator's own pipelines, beside the bundled ones."""

    path: Path = Path("pipelines")
