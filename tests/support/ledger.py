"""A ledger for tests: a database with one series in it, and work to be done on that."""

from datetime import UTC, datetime

from dicomnode.db.database import Database
from dicomnode.db.models import Series, Study
from dicomnode.domain.recipe import Recipe
from dicomnode.jobs.ledger import RetryPolicy
from dicomnode.jobs.work import Work

NOW = datetime(2026, 5, 1, tzinfo=UTC)
"""Past, for every database's clock."""
RETRY = RetryPolicy(max_attempts=3, retry_seconds=0)
SERIES = "1.2.3"


def with_series(database: Database) -> Database:
    """The database, with the one series that all `work` is for."""
    about = dict.fromkeys(("patient_id", "patient_name", "accession_number", "study_date", "description"), "")
    told = dict.fromkeys(("series_number", "description", "calling_aet", "called_aet"), "")
    with database.write() as session:
        session.add(Study(uid="1.2", first_seen_at=NOW, **about))
        session.flush()
        session.add(Series(uid=SERIES, study_uid="1.2", modality="CT", state="complete", last_arrival_at=NOW, **told))
    return database


def work(
    number: int, *, generation: int = 1, priority: int = 1, volume: bool = False, deadline_at: datetime | None = None
) -> Work:
    """Equal numbers are equal work, unless it is of scope "volume" and the generation another."""
    recipe = Recipe("p", "1", params={"n": number})
    return Work(SERIES, generation, recipe, priority, per_generation=volume, deadline_at=deadline_at)
