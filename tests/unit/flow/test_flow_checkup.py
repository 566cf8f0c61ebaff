"""The doctor on a real store that was damaged in every way that it knows: named, repaired, and found well after."""

import fcntl
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import delete, select, update
from support.retaining import FORWARD, PASSTHROUGH, RetentionBench
from support.series import make_ct_series

from dicomnode.db.models import AuditEvent, Container, Delivery, DeliveryItem, Enhancement, Instance, Output, Series
from dicomnode.db.repositories.instances import location
from dicomnode.domain.finding import Finding, Severity
from dicomnode.flow.upkeep.checkup import Wanted, check_up
from dicomnode.store import tar

pytestmark = pytest.mark.torch

STORE = ("store.", "database.")


@pytest.fixture
def bench(tmp_path: Path) -> RetentionBench:
    """A stopped node with a series that was received, enhanced, and waits to be sent."""
    bench = RetentionBench(tmp_path / "node", FORWARD + PASSTHROUGH)
    bench.receive_files(make_ct_series(tmp_path / "ct", 3, rows=32))
    bench.complete()
    bench.work()
    bench.close_containers()
    return bench


def look(bench: RetentionBench, *, running: bool = False, repair: bool = False, deep: bool = False) -> list[Finding]:
    """Findings about the store; what the machine is like is no matter of these tests."""
    found = check_up(bench.flow, Wanted(running=running, repair=repair, deep=deep))
    return [each for each in found if each.kind.startswith(STORE)]


def kinds(findings: list[Finding]) -> list[str]:
    return [found.kind for found in findings]


def container(bench: RetentionBench) -> Path:
    (name,) = bench.containers
    return bench.flow.root / name


def overwrite(path: Path, position: int, content: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(position)
        file.write(content)


def first(bench: RetentionBench) -> Instance:
    return min(bench.instances(), key=lambda row: row.offset)


def last(bench: RetentionBench) -> Instance:
    return max(bench.instances(), key=lambda row: row.offset)


def test_a_sound_store_has_no_findings(bench: RetentionBench) -> None:
    assert look(bench) == look(bench, deep=True) == look(bench, running=True, repair=True) == []


def remove_container(bench: RetentionBench) -> None:
    container(bench).unlink()


def cut_container(bench: RetentionBench) -> None:
    with container(bench).open("r+b") as file:
        file.truncate(last(bench).offset + 100)


def flip_a_bit(bench: RetentionBench) -> None:
    overwrite(container(bench), last(bench).offset + last(bench).length - 7, b"\xff\xfe\xfd")


def spoil_a_receipt(bench: RetentionBench) -> None:
    row = first(bench)
    overwrite(container(bench), row.offset + tar.padded(row.length) + tar.BLOCK, b"nonsense")


def other_hash(bench: RetentionBench) -> None:
    with bench.flow.database.write() as session:
        session.get_one(Instance, first(bench).sop_uid).sha256 = "0" * 64


def remove_derived(bench: RetentionBench) -> None:
    bench.derived[0].unlink()


def flip_derived(bench: RetentionBench) -> None:
    row = bench.outputs()[0]
    overwrite(bench.derived[0], row.offset + row.length - 7, b"\xff\xfe\xfd")


@pytest.mark.parametrize(
    ("damage", "kind", "count", "deep"),
    [
        (remove_container, "missing", 3, False),
        (cut_container, "missing", 1, False),
        (flip_a_bit, "damaged", 1, True),
        (spoil_a_receipt, "damaged", 1, False),
        (other_hash, "damaged", 1, False),
        (remove_derived, "missing", 3, False),
        (flip_derived, "damaged", 1, True),
    ],
)
def test_lost_bytes_are_written_off_audited_and_not_sent(
    bench: RetentionBench, damage: Callable[[RetentionBench], None], kind: str, count: int, deep: bool
) -> None:
    damage(bench)
    found = [each for each in look(bench, deep=deep) if each.open]
    assert f"store.{kind}" in kinds(found)
    assert look(bench, deep=deep) == look(bench, deep=deep), "looking changes nothing"
    repaired = look(bench, repair=True, deep=deep)
    assert not any(each.open for each in repaired)
    lost = [row for row in [*bench.instances(), *bench.outputs()] if row.fault == kind]
    assert len(lost) == count
    with bench.flow.database.read() as session:
        items = session.scalars(select(DeliveryItem).where(DeliveryItem.state == "failed")).all()
        events = session.scalars(select(AuditEvent).where(AuditEvent.kind == f"instance.{kind}")).all()
    assert {item.sop_uid for item in items} == {row.sop_uid for row in lost}
    assert all(kind in item.detail for item in items)
    assert [len(event.detail["sop_uids"]) for event in events] == [count]
    assert "store.repaired" in bench.events()
    after = look(bench, deep=deep)
    assert set(kinds(after)) <= {f"store.known_{kind}", "store.torn"}
    assert not any(each.open for each in after)


def test_a_container_that_comes_back_from_a_backup_counts_again(bench: RetentionBench, tmp_path: Path) -> None:
    shutil.copy(container(bench), tmp_path / "backup.tar")
    path = container(bench)
    path.unlink()
    look(bench, repair=True)
    shutil.copy(tmp_path / "backup.tar", path)
    assert kinds(look(bench)) == ["store.back", "store.known_missing"]
    assert [each.repaired for each in look(bench, repair=True)] == [True]
    assert [row.fault for row in bench.instances()] == ["", "", ""]
    assert look(bench) == []


def test_what_the_index_has_not_read_is_indexed(bench: RetentionBench, tmp_path: Path) -> None:
    bench.indexer.run = lambda applied=None: None  # type: ignore[assignment, method-assign, return-value]
    bench.receive_files(make_ct_series(tmp_path / "more", 2, rows=32, series_number=7))
    bench.close_containers()
    (found,) = look(bench)
    assert (found.kind, found.detail["count"]) == ("store.unindexed", 2)
    assert look(bench, running=True) == [], "a running node has a minute for it"
    (found,) = look(bench, repair=True)
    assert found.repaired
    assert len(bench.instances()) == 5
    assert look(bench) == []


def forget_instance(bench: RetentionBench) -> None:
    with bench.flow.database.write() as session:
        session.execute(delete(Instance).where(Instance.sop_uid == first(bench).sop_uid))


def test_a_receipt_without_a_row_gets_its_row_back(bench: RetentionBench) -> None:
    forget_instance(bench)
    (found,) = look(bench)
    assert (found.kind, found.detail["count"]) == ("store.unknown", 1)
    assert not look(bench, running=True, repair=True)[0].repaired, "the node's own indexer would not read it again"
    assert [each.repaired for each in look(bench, repair=True)] == [True]
    assert len(bench.instances()) == 3
    assert look(bench) == []


def test_a_database_that_is_lost_is_read_from_the_containers_again(bench: RetentionBench) -> None:
    before = {row.sop_uid: (location(row), row.sha256) for row in bench.instances()}
    with bench.flow.database.write() as session:
        for model in (DeliveryItem, Delivery, Output):
            session.execute(delete(model))
        session.execute(delete(Container))
        for row in before:
            session.execute(delete(Instance).where(Instance.sop_uid == row))
    assert {"store.unindexed", "store.orphans"} == set(kinds(look(bench)))
    assert not any(each.open for each in look(bench, repair=True))
    assert {row.sop_uid: (location(row), row.sha256) for row in bench.instances()} == before
    assert look(bench) == []


def test_a_lost_instance_comes_back_from_its_copy(bench: RetentionBench, tmp_path: Path) -> None:
    bench.receive_files(sorted((tmp_path / "ct").rglob("*.dcm")))
    bench.close_containers()
    lost, copy = sorted(bench.containers)
    (bench.flow.root / lost).unlink()
    findings = look(bench, repair=True)
    assert kinds(findings) == ["store.missing", "store.unknown", "store.unnoted"]
    assert all(each.repaired for each in findings)
    assert {(row.fault, row.container) for row in bench.instances()} == {("", copy)}
    originals = [item for item in bench.items() if item.container.startswith("containers/")]
    assert {(item.state, item.container) for item in originals} == {("pending", copy)}
    assert look(bench) == []


def test_a_row_that_points_elsewhere_finds_its_instance_again(bench: RetentionBench) -> None:
    row = first(bench)
    with bench.flow.database.write() as session:
        session.get_one(Instance, row.sop_uid).offset += 512
    assert kinds(look(bench)) == ["store.damaged"]
    findings = look(bench, repair=True)
    assert kinds(findings) == ["store.damaged", "store.unknown"]
    assert all(each.repaired for each in findings)
    assert location(first(bench)) == location(row)
    assert look(bench) == []


def test_an_instance_that_was_cut_while_it_streamed_in_is_removed(bench: RetentionBench) -> None:
    path = bench.flow.root / "containers" / "n-main-0123456789abcdef-000001.tar"
    path.write_bytes(bytes(tar.BLOCK) + b"x" * 5000)
    with path.open("rb") as writer:
        fcntl.flock(writer, fcntl.LOCK_SH)
        assert look(bench, repair=True) == [], "its writer still lives"
    assert kinds(look(bench)) == ["store.unfinished"]
    assert [each.repaired for each in look(bench, running=True, repair=True)] == [True]
    assert not path.exists()


def test_a_damaged_first_block_loses_nothing_that_can_be_read(bench: RetentionBench) -> None:
    overwrite(container(bench), 0, bytes(tar.BLOCK))
    (found,) = look(bench, repair=True)
    assert (found.kind, found.repaired) == ("store.broken", False)
    assert container(bench).exists()
    assert [row.fault for row in bench.instances()] == ["", "", ""]


def test_a_torn_tail_is_information_only(bench: RetentionBench) -> None:
    with container(bench).open("r+b") as file:
        file.seek(-len(tar.END_OF_ARCHIVE), 2)
        file.write(tar.pack("9.dcm", 100_000) + b"cut")
    (found,) = look(bench, repair=True)
    assert (found.kind, found.severity, found.open) == ("store.torn", Severity.INFO, False)


def test_orphans_of_a_killed_worker_are_removed(bench: RetentionBench) -> None:
    orphan = bench.flow.root / "derived" / "77" / "1.tar"
    orphan.parent.mkdir()
    orphan.write_bytes(bytes(2048))
    assert kinds(look(bench)) == ["store.orphans"]
    assert [each.repaired for each in look(bench, running=True, repair=True)] == [True]
    assert not orphan.exists()
    assert look(bench) == []


def test_what_retention_began_is_ended(bench: RetentionBench) -> None:
    path = container(bench)
    with bench.flow.database.write() as session:
        session.execute(update(Instance).values(purged_at=first(bench).received_at))
        session.execute(update(Output).values(purged_at=first(bench).received_at))
    assert kinds(look(bench)) == ["store.orphans", "store.given_up"]
    assert [each.repaired for each in look(bench, repair=True)] == [True, True]
    assert not path.exists()
    assert look(bench) == []
    with bench.flow.database.write() as session:
        session.execute(update(Container).values(removed_at=None))
    assert kinds(look(bench)) == ["store.unnoted"]
    look(bench, repair=True)
    assert look(bench) == []


def test_strangers_are_named_and_left(bench: RetentionBench) -> None:
    stranger = bench.flow.root / "containers" / "notes.txt"
    stranger.write_text("mine")
    (found,) = look(bench, repair=True)
    assert (found.kind, found.severity) == ("store.stranger", Severity.WARNING)
    assert stranger.exists()


def test_containers_of_another_node_are_its_own_matter(bench: RetentionBench) -> None:
    with bench.flow.database.write() as session:
        session.add(Container(name="containers/other-1.tar", node="other", indexed_to=4096))
    assert look(bench) == []


def test_containers_from_before_the_node_was_renamed_are_its_matter(bench: RetentionBench, tmp_path: Path) -> None:
    bench.receive_files(make_ct_series(tmp_path / "more", 1, rows=32, series_number=7))
    bench.close_containers()
    with bench.flow.database.write() as session:
        session.execute(update(Container).values(node="its-old-name"))
    assert look(bench) == []
    (bench.flow.root / first(bench).container).unlink()
    assert kinds(look(bench)) == ["store.missing"]


def test_nothing_is_checked_against_an_old_schema(bench: RetentionBench) -> None:
    with bench.flow.database.write() as session:
        session.connection().exec_driver_sql("UPDATE alembic_version SET version_num = '0002'")
    (found,) = look(bench)
    assert (found.kind, found.open) == ("database.schema", True)


def test_after_retention_nothing_is_found(bench: RetentionBench) -> None:
    bench.send_all()
    bench.let_days_pass(31)
    assert bench.retain().series == 1
    assert look(bench, deep=True) == []
    bench.receive_files([Path(p) for p in sorted((bench.root.parent / "ct").rglob("*.dcm"))])
    assert look(bench, deep=True) == []
    with bench.flow.database.read() as session:
        assert session.scalars(select(Series.purged_at)).all() == [None]
        assert session.scalars(select(Enhancement.state)).all() == ["done"]


def test_a_restored_backup_loses_nothing_that_is_on_disk(bench: RetentionBench, tmp_path: Path) -> None:
    """The database as of yesterday over the store of today: what came, and what was given up, in between."""
    shutil.copytree(bench.flow.root / "derived", tmp_path / "derived")
    with closing(sqlite3.connect(bench.root / "node.db")) as source, closing(sqlite3.connect(tmp_path / "db")) as copy:
        source.backup(copy)
    uid = bench.series()[0].uid
    bench.send_all()
    bench.let_days_pass(31)
    assert bench.retain().series == 1
    bench.receive_files(make_ct_series(tmp_path / "more", 2, rows=32, series_number=7))
    bench.close_containers()

    bench.flow.database.close()
    for path in bench.root.glob("node.db*"):
        path.unlink()
    shutil.copy(tmp_path / "db", bench.root / "node.db")
    assert kinds(look(bench)) == ["store.missing", "store.unindexed", "store.missing"]
    findings = look(bench, repair=True)
    assert not any(each.open for each in findings)
    assert sorted((row.series_uid == uid, row.gone) for row in bench.instances()) == [
        *[(False, "")] * 2,
        *[(True, "missing")] * 3,
    ]
    assert {row.gone for row in bench.outputs()} == {"missing"}
    assert kinds(look(bench)) == ["store.known_missing"]
    shutil.copytree(tmp_path / "derived", bench.flow.root / "derived", dirs_exist_ok=True)
    assert not any(each.open for each in look(bench, repair=True))
    assert {row.gone for row in bench.outputs()} == {""}
