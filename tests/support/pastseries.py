"""Series of the past as the database remembers them: facts alone, no files."""

from datetime import timedelta
from typing import Any

from dicomnode.db.database import now as database_now
from dicomnode.db.models import Series, SeriesFactsRow, Study
from dicomnode.domain.facts import AttributeFacts, SeriesFacts
from dicomnode.flow import Flow


def remember(flow: Flow, number: int, computed: dict[str, Any] | None = None, **attributes: Any) -> str:
    """One complete series of a patient of its own, with these values of its attributes. Returns its UID."""
    uid = f"1.2.840.{number}"
    values = {"PatientID": f"P{number}", "Modality": "CT", "Rows": 512, "SeriesDescription": "Chest", **attributes}
    facts = SeriesFacts(
        {name: AttributeFacts("LO", {(value,): 5}) for name, value in values.items()},
        {"instance_count": 5, **(computed or {})},
    )
    with flow.database.write() as session:
        at = database_now(session) - timedelta(hours=number)
        study = Study(uid=f"{uid}.0", patient_id=f"P{number}", patient_name=f"N{number}", accession_number="")
        study.study_date, study.description, study.first_seen_at = "20260101", "", at
        series = Series(uid=uid, study_uid=study.uid, modality=str(values["Modality"]), series_number="1")
        series.description, series.calling_aet, series.called_aet = str(values["SeriesDescription"]), "CT1", "NODE"
        series.state, series.generation, series.last_arrival_at, series.completed_at = "complete", 1, at, at
        row = SeriesFactsRow(series_uid=uid, generation=1, completed_at=at, reason="quiet", instance_count=5)
        row.facts, row.circumstances = facts.to_json(), {"derived_by_node": False, "gone": {}, "rejected": {}}
        session.add(study)
        session.flush()
        session.add(series)
        session.flush()
        session.add(row)
    return uid
