"""Models that people bring."""

from pathlib import Path

from sqlalchemy.engine import make_url

from dicomnode.audit.events import record
from dicomnode.db import migrate
from dicomnode.db.database import Database
from dicomnode.desk.person import Person
from dicomnode.enhance.card import ModelCard
from dicomnode.observe import log
from dicomnode.settings import Settings


def note_import(settings: Settings, person: Person, card: ModelCard) -> None:
    """Record that `person` put a model beside the shipped ones.

    A folder of models may be filled before the node ever ran: then there is no log yet to tell it to, and a warning
    says so. Raises database errors.
    """
    if not _is_there(settings.database.url):
        log.warning("the import is not in the audit log: there is no database yet")
        return
    database = Database(settings.database.url)
    if migrate.current(database) != migrate.head():
        log.warning("the import is not in the audit log: the database is not at this version's schema")
        return
    model, weights = card.model, card.weights
    message = f"{person.name} imported the model {model.name} {model.version}"
    detail = {"version": model.version, "weights": weights.file, "sha256": weights.sha256, "via": person.via}
    with database.write() as session:
        record(
            session,
            "model.imported",
            message,
            node=settings.node.name,
            actor=person.name,
            subject=f"model:{model.name}",
            detail=detail,
        )
    database.close()


def _is_there(url: str) -> bool:
    """Asking SQLite for a database that is not there would make an empty one."""
    parsed = make_url(url)
    return parsed.get_backend_name() != "sqlite" or (parsed.database is not None and Path(parsed.database).is_file())
