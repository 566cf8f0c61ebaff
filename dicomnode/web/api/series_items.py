"""What the API says of series."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class _Item(BaseModel):
    model_config = ConfigDict(from_attributes=True)


class SeriesRow(_Item):
    """A series in a list. Names and identifiers are masked unless they were asked for with `names=true`."""

    uid: str
    study_uid: str
    patient_id: str
    patient_name: str = Field(description="As DICOM has it: components by ^, groups by = (PS3.5 6.2.1).")
    accession_number: str
    modality: str
    description: str
    study_description: str
    instances: int
    state: str
    status: str = Field(description="What became of it in one word: the most urgent thing that holds.")
    generation: int
    calling_aet: str
    last_arrival_at: datetime
    purged_at: datetime | None
    derived_by_node: bool


class SeriesFacts(_Item):
    """What is known of one series."""

    uid: str
    study_uid: str
    patient_id: str
    patient_name: str
    accession_number: str
    study_date: str
    study_description: str
    modality: str
    series_number: str
    description: str
    state: str
    status: str
    generation: int
    calling_aet: str
    called_aet: str
    last_arrival_at: datetime
    completed_at: datetime | None
    due_at: datetime | None
    due_reason: str
    derived_by_node: bool
    kept_by: str
    kept_for: str
    purged_at: datetime | None
    stored: int = Field(description="Instances whose bytes are here.")
    gone: Mapping[str, int] = Field(description="Instances whose bytes are not, by why.")
    open_conflicts: int
    rejected: Mapping[str, int] = Field(description="Instances that somebody rejected, by the title of the note.")


class EntryItem(_Item):
    """One step of a story; `kind` says what `about` holds, `events` how the step went on."""

    at: datetime
    kind: str
    about: Mapping[str, Any]
    events: Sequence[Mapping[str, Any]]


class StoryItem(_Item):
    """What happened to a series, in the order of time."""

    facts: SeriesFacts
    entries: Sequence[EntryItem]
    is_cut: bool = Field(description="Of the audit events the newest 500 alone are told.")
    objection: str = Field(description="Why no pipeline can be run on it by hand; empty: one can.")


class RunOrder(BaseModel):
    """A run by hand. Without destinations the result is computed and shown, and sent nowhere."""

    model_config = ConfigDict(extra="forbid")

    pipeline: str = Field(max_length=200)
    params: dict[str, Any] = Field(default_factory=dict)
    deliver_to: list[str] = Field(default_factory=list, max_length=100)
    priority: str = Field("normal", description="`stat`, `normal` or `off-peak`.")


class RunItem(_Item):
    """The work that was asked for; `done` where it had been done before."""

    job: int
    state: str
    destinations: tuple[str, ...]


class ReleaseOrder(BaseModel):
    """`promise`: also break what a modality was promised by storage commitment."""

    model_config = ConfigDict(extra="forbid")

    promise: bool = False


class ReleasedItem(_Item):
    """Conflicts that are settled now, and for whom the series stays nevertheless."""

    conflicts: int
    kept_for: str
