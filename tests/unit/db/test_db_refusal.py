"""What a database refuses for its value, on both: told from what it cannot do just now."""

import random
from contextlib import closing

import pytest
from sqlalchemy import func, literal, select, update
from sqlalchemy.exc import OperationalError
from support.postgres import PostgreSQL

from dicomnode.db.database import Database
from dicomnode.db.models import Container, Manifest
from dicomnode.db.refusal import refused


def test_what_is_refused_for_its_value_is_told_from_what_cannot_be_done_now(database: Database) -> None:
    unheld = "\ud800" if database.is_sqlite else "\0"
    with pytest.raises(Exception, match=r"surrogates|NUL") as held, database.write() as session:
        session.scalar(select(func.length(literal(unheld))))
    assert refused(held.value)
    too_large = update(Container).values(indexed_to=1 << 70)
    with pytest.raises(Exception, match=r"too large|out of range") as held, database.write() as session:
        session.execute(too_large)
    assert refused(held.value)
    assert not refused(OperationalError("SELECT 1", {}, Exception("database is locked")))
    assert not refused(ValueError("a bug"))


@pytest.mark.postgres
def test_a_key_that_is_too_long_for_its_index_is_refused(postgresql: PostgreSQL) -> None:
    """SQLSTATE 54000, which the driver gives as an operational error."""
    with postgresql.fresh() as url, closing(Database(url)) as database:
        noise = "".join(random.Random(1).choices("0123456789abcdefghijklmnopqrstuvwxyz", k=20_000))
        row = Manifest(source="key object document", series_uid=noise, calling_aet="", sop_uids=[])
        with pytest.raises(OperationalError) as held, database.write() as session:
            session.add(row)
        assert refused(held.value) == "ProgramLimitExceeded"
