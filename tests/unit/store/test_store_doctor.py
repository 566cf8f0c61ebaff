"""Whatever is done to a store and its index, one repair leaves nothing to be found; what was not touched stays."""

import tempfile
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, select, update
from support.databases import sqlite
from support.rawfiles import RawFile, sample

from dicomnode.db.models import Container, Instance, Series
from dicomnode.domain.finding import Severity
from dicomnode.domain.instance import Location
from dicomnode.store.doctor import Doctor, Trouble
from dicomnode.store.fingerprints import fingerprint_at
from dicomnode.store.index import Indexer
from dicomnode.store.journal import Journal
from dicomnode.store.repair import KINDS, finding, repair

CT = sample()


class Store:
    """A store whose journal is closed, with `counts[i]` instances in container i, indexed."""

    def __init__(self, root: Path, counts: list[int]) -> None:
        self.root = root
        self.database = sqlite(root / "node.db")
        self.files: dict[str, tuple[RawFile, Location]] = {}
        for number, count in enumerate(counts):
            self.receive(number, count)
        self.index()

    def receive(self, number: int, count: int) -> None:
        journal = Journal(self.root, "n", f"p{number}", min_free_gb=0)
        series = f"1.2.{number}"
        for index in range(count):
            uid = f"1.2.{number}.{index}"
            file = replace(CT, sop_uid=uid, series_uid=series)
            at = datetime.now(UTC).isoformat(timespec="milliseconds")
            receipt = file.receipt(sop_instance_uid=uid, series_uid=series, received_at=at)
            self.files[uid] = file, journal.append(receipt, file.data_set)
        journal.close()

    def index(self) -> None:
        Indexer(self.root, "n", self.database, lambda session, arrivals: None, lambda first, second: True).run()

    def look(self, *, deep: bool = True) -> list[Trouble]:
        return list(Doctor(self.root, self.database, "n", running=False, deep=deep).look())

    def repair(self) -> None:
        for trouble in self.look():
            with self.database.write() as session:
                repair(session, self.root, trouble, "n")
        self.index()

    def open_troubles(self) -> list[str]:
        return [trouble.kind for trouble in self.look() if KINDS[trouble.kind].severity is Severity.ERROR]

    def rows(self) -> dict[str, Instance]:
        with self.database.read() as session:
            return {row.sop_uid: row for row in session.scalars(select(Instance))}


DAMAGES = ["unlink", "truncate", "flip", "forget container", "forget row", "move row", "forget all", "mark missing"]


def damage(store: Store, what: str, uid: str, where: float) -> None:
    _, place = store.files[uid]
    path = store.root / place.container
    if what in ("unlink", "truncate", "flip") and not path.exists():
        return
    match what:
        case "unlink":
            path.unlink()
        case "truncate":
            with path.open("r+b") as file:
                file.truncate(int(where * path.stat().st_size))
        case "flip":
            with path.open("r+b") as file:
                file.seek(place.offset + 400 + int(where * (place.length - 400)))
                byte = file.read(1)
                if byte:
                    file.seek(-1, 1)
                    file.write(bytes([byte[0] ^ 0xFF]))
        case _:
            with store.database.write() as session:
                change_rows(session, what, uid, place)


def change_rows(session: object, what: str, uid: str, place: Location) -> None:
    statement = {
        "forget container": delete(Container).where(Container.name == place.container),
        "forget row": delete(Instance).where(Instance.sop_uid == uid),
        "move row": update(Instance).where(Instance.sop_uid == uid).values(offset=Instance.offset + 512),
        "forget all": delete(Instance),
        "mark missing": update(Instance).where(Instance.sop_uid == uid).values(fault="missing"),
    }[what]
    session.execute(statement)  # type: ignore[attr-defined]


@settings(max_examples=60, deadline=None)
@given(
    counts=st.lists(st.integers(1, 3), min_size=1, max_size=3),
    damages=st.lists(
        st.tuples(st.sampled_from(DAMAGES), st.integers(0, 8), st.floats(0.0, 0.999, allow_nan=False)), max_size=4
    ),
)
def test_after_repairs_nothing_is_found_and_what_is_whole_is_kept(
    counts: list[int], damages: list[tuple[str, int, float]]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder), counts)
        uids = sorted(store.files)
        for what, which, where in damages:
            damage(store, what, uids[which % len(uids)], where)
        for _ in range(4):
            store.repair()
        # Only a first block that is damaged, behind which receipts stand, is beyond repair.
        assert set(store.open_troubles()) <= {"broken"}
        rows = store.rows()
        for row in rows.values():
            place = Location(row.container, row.offset, row.length)
            if not row.gone:
                assert fingerprint_at(store.root, place, row.transfer_syntax_uid) == row.sha256
        if not any(what in ("unlink", "truncate", "flip") for what, _, _ in damages):
            assert {uid: row.gone for uid, row in rows.items()} == dict.fromkeys(uids, "")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path, [2])


def test_a_sound_store_is_read_to_its_end(store: Store) -> None:
    told: list[tuple[int, int]] = []
    doctor = Doctor(store.root, store.database, "n", running=False, deep=True)
    assert list(doctor.look(lambda done, total: told.append((done, total)))) == []
    size = sum(path.stat().st_size for path in (store.root / "containers").iterdir())
    assert told[-1] == (size, size)


def test_bytes_are_read_only_when_asked_for(store: Store) -> None:
    _, place = store.files["1.2.0.1"]
    with (store.root / place.container).open("r+b") as file:
        file.seek(place.offset + place.length - 9)
        file.write(b"\xaa\xbb\xcc")
    assert store.look(deep=False) == []
    (trouble,) = store.look(deep=True)
    assert [row.sop_uid for row in trouble.rows] == ["1.2.0.1"]


def test_a_finding_says_what_is_the_matter_and_the_way_out(store: Store) -> None:
    _, place = store.files["1.2.0.0"]
    (store.root / place.container).unlink()
    (trouble,) = store.look()
    told = finding(trouble).to_json()
    assert told["kind"] == "store.missing"
    assert told["subject"] == f"container:{place.container}"
    assert told["message"] == "2 stored instances are missing: the container is not there"
    assert "--repair" in told["way_out"]
    assert told["detail"] == {"count": 2, "series": ["1.2.0"], "sop_uids": ["1.2.0.0", "1.2.0.1"]}


def test_what_changed_since_it_was_read_is_left_alone(store: Store) -> None:
    _, place = store.files["1.2.0.0"]
    path = store.root / place.container
    content = path.read_bytes()
    path.unlink()
    (trouble,) = store.look()
    path.write_bytes(content)
    with store.database.write() as session:
        session.execute(update(Instance).values(purged_at=datetime.now(UTC)))
        session.execute(update(Series).values(state="complete"))
    with store.database.write() as session:
        assert not repair(session, store.root, trouble, "n")
    assert {row.fault for row in store.rows().values()} == {""}
