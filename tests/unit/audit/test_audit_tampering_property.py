"""Any tampering anywhere, whatever the anchors: found, with the right row or a range that holds it."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.tampering import EDITS, Intruder, anchor, write_events

from dicomnode.audit.verification import verify
from dicomnode.db import migrate
from dicomnode.db.database import Database

pytestmark = pytest.mark.faults
LENGTH = 24
COLUMNS = st.sampled_from(sorted(EDITS))
EXACT = ("edit", "delete event", "delete link", "delete both", "close the gap", "swap events", "swap links")
ANCHORED = ("cut", "edit anew", "close the gap anew", "swap anew")


@pytest.fixture(scope="module")
def sealed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with a sealed log."""
    path = tmp_path_factory.mktemp("log") / "node.db"
    database = Database(f"sqlite:///{path}")
    migrate.upgrade(database)
    write_events(database, LENGTH)
    with database.engine.connect() as connection:
        connection.exec_driver_sql("COMMIT")
        connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    database.close()
    return path


@pytest.fixture
def copies(sealed: Path) -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


def tamper(intruder: Intruder, kind: str, n: int, m: int, column: str) -> None:
    """Do it at `n`, the lower of the two positions."""
    does = {
        "edit": lambda: intruder.edits(n, column),
        "delete event": lambda: intruder.deletes_event(n),
        "delete link": lambda: intruder.deletes_link(n),
        "delete both": lambda: intruder.deletes_both(n),
        "close the gap": lambda: intruder.closes_the_gap(n),
        "swap events": lambda: intruder.swaps_events(n, m),
        "swap links": lambda: intruder.swaps_links(n, m),
        "cut": lambda: intruder.cuts_after(n - 1),
    }
    does[kind.removesuffix(" anew")]() if kind != "swap anew" else intruder.swaps_events(n, m)
    if kind.endswith(" anew"):
        intruder.seals_anew_from(n)


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(
    kind=st.sampled_from(EXACT + ANCHORED),
    positions=st.lists(st.integers(1, LENGTH - 1), min_size=2, max_size=2, unique=True).map(sorted),
    column=COLUMNS,
    anchors=st.sets(st.integers(1, LENGTH), max_size=6).map(sorted),
    nodes=st.integers(1, 2),
)
def test_any_tampering_is_found(
    sealed: Path, copies: Path, kind: str, positions: list[int], column: str, anchors: list[int], nodes: int
) -> None:
    n, m = positions
    with tempfile.TemporaryDirectory(dir=copies) as folder:
        shutil.copy(sealed, Path(folder) / "node.db")
        database = Database(f"sqlite:///{folder}/node.db")
        noted = anchors if kind in EXACT else [*anchors, LENGTH] if LENGTH not in anchors else anchors
        for number, seq in enumerate(noted):
            anchor(database, Path(folder), seq, node=f"n{number % nodes}")
        tamper(Intruder(database), kind, n, m, column)
        found = verify(database, Path(folder))
        database.close()
    assert not found.ok
    agreeing = max((seq for seq in noted if seq < n), default=0)
    if kind in EXACT:
        assert (found.first_bad, found.until) == (n, n), found.reason
    else:
        first, until = found.first_bad or 0, found.until or 0
        assert agreeing < first <= n <= until <= min(seq for seq in noted if seq >= n), found.reason
