"""Finding series, with as much of their patients as whoever looks may see."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from dicomnode.db.models import Series
from dicomnode.db.repositories import series as series_rows
from dicomnode.db.repositories import series_search
from dicomnode.db.repositories.series_search import Found, Wanted
from dicomnode.db.repositories.series_status import NAMES
from dicomnode.desk import patients
from dicomnode.desk.person import Person
from dicomnode.desk.refused import Refused
from dicomnode.domain.roles import Permission
from dicomnode.flow import Flow

MADE = ("", "derived", "outdated")
THE_LIST = "the series list"


@dataclass(frozen=True)
class Row:
    """A series in a list. Names and identifiers are masked unless the person sees them; names are as DICOM has them."""

    uid: str
    study_uid: str
    patient_id: str
    patient_name: str
    accession_number: str
    modality: str
    description: str
    study_description: str
    instances: int
    state: str
    status: str
    generation: int
    calling_aet: str
    last_arrival_at: datetime
    purged_at: datetime | None
    derived_by_node: bool

    @property
    def key(self) -> tuple[str, str]:
        """Where it stands in the list."""
        return self.last_arrival_at.isoformat(), self.uid


def find(session: Session, uid: str) -> Series:
    """The series. Raises Refused where nothing of it has arrived."""
    series = series_rows.find(session, uid)
    if series is None:
        raise Refused(f"no instance of series {uid} has arrived", "missing")
    return series


def listed(
    flow: Flow, person: Person, wanted: Wanted, limit: int, after: tuple[str, str] | None = None, *, ahead: bool = False
) -> Sequence[Row]:
    """At most `limit` series that fit, the newest arrival first, behind `after` (a row's `key`); with `ahead` one more
    for whoever shows the others: it tells that the list goes on.

    Each page of names is a look of its own: the place in the list is among the filters of its event. Who may not see
    patients finds nothing by their names either. Raises Refused for a status or a place in the list that there is not.
    """
    if wanted.status and wanted.status not in NAMES:
        raise Refused(f"there is no status {wanted.status!r}: it is one of {', '.join(NAMES)}")
    if wanted.made not in MADE:
        raise Refused(f"made is one of {', '.join(filter(None, MADE))}, not {wanted.made!r}")
    wanted = replace(wanted, patients=person.may(Permission.PATIENTS))
    with flow.database.read() as session:
        found = series_search.search(session, wanted, limit + ahead, _place(after))
    if found and (patients.sees(person) or (wanted.text and wanted.patients)):
        asked = {**_asked(wanted), "after": " ".join(after or ())}
        patients.viewed(flow, person, THE_LIST, filters=asked, shown=min(len(found), limit))
    return [_row(person, each) for each in found]


def _place(after: tuple[str, str] | None) -> tuple[datetime, str] | None:
    if after is None:
        return None
    try:
        at = datetime.fromisoformat(after[0])
    except ValueError as error:
        raise Refused("this is no cursor of this list: begin at its first page") from error
    if at.tzinfo is None or "\0" in after[1]:
        raise Refused("this is no cursor of this list: begin at its first page")
    return at, after[1]


def _asked(wanted: Wanted) -> dict[str, Any]:
    return {name: value for name, value in asdict(wanted).items() if name != "patients"}


def _row(person: Person, found: Found) -> Row:
    series, study = found.series, found.study
    return Row(
        uid=series.uid,
        study_uid=series.study_uid,
        patient_id=patients.shown_id(person, study.patient_id),
        patient_name=patients.shown_id(person, study.patient_name),
        accession_number=patients.shown_id(person, study.accession_number),
        modality=series.modality,
        description=series.description,
        study_description=study.description,
        instances=found.instances,
        state=series.state,
        status=found.status,
        generation=series.generation,
        calling_aet=series.calling_aet,
        last_arrival_at=series.last_arrival_at,
        purged_at=series.purged_at,
        derived_by_node=series.derived_by_node,
    )
