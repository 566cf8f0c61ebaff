"""One node alone on a store, several beside each other, each under its own name; a dead one leaves its boot behind."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from dicomnode.store.hold import taken_over
from dicomnode.store.lock import ALL, StoreLock, StoreTaken, runs, store_name

TAKES = """
import sys, time
from pathlib import Path
from dicomnode.store.lock import StoreLock
lock = StoreLock(Path(sys.argv[1]), sys.argv[2], sys.argv[3], alone=False)
if sys.argv[4] == "settled":
    lock.settle()
print("taken", flush=True)
time.sleep(60)
"""


def killed(root: Path, node: str, boot: str, state: str) -> None:
    """A process takes the lock and is killed."""
    with subprocess.Popen([sys.executable, "-c", TAKES, root, node, boot, state], stdout=subprocess.PIPE) as taker:
        assert taker.stdout is not None
        assert taker.stdout.readline() == b"taken\n"
        taker.kill()


def test_nodes_share_a_store_each_under_its_name(tmp_path: Path) -> None:
    first, second = (StoreLock(tmp_path, name, "b0", alone=False) for name in ("a", "b"))
    assert runs(tmp_path, "a")
    assert not runs(tmp_path, "c")
    with pytest.raises(StoreTaken, match=rf"\(process {os.getpid()}\) already works.*a node.name each"):
        StoreLock(tmp_path, "a", "b1", alone=False)
    first.release()
    second.release()
    assert not runs(tmp_path, "a")
    StoreLock(tmp_path, "a", "b1", alone=False).release()


def test_one_that_must_be_alone_is(tmp_path: Path) -> None:
    alone = StoreLock(tmp_path, "a", "b0", alone=True)
    for second in (True, False):
        with pytest.raises(StoreTaken, match=rf"\(process {os.getpid()}\) already works.*need PostgreSQL"):
            StoreLock(tmp_path, "b", "b1", alone=second)
    alone.release()
    shared = StoreLock(tmp_path, "b", "b1", alone=False)
    with pytest.raises(StoreTaken):
        StoreLock(tmp_path, "a", "b2", alone=True)
    shared.release()


def test_beside_a_doctor_that_works_alone_nobody_starts(tmp_path: Path) -> None:
    StoreLock(tmp_path, "a", "b0", alone=False).release()
    with taken_over(tmp_path / ALL) as ours:
        assert ours
        with pytest.raises(StoreTaken):
            StoreLock(tmp_path, "a", "b1", alone=False)


def test_who_takes_the_lock_of_a_killed_node_knows_its_boot(tmp_path: Path) -> None:
    killed(tmp_path, "a", "b1", "settled")
    killed(tmp_path, "a", "b2", "not yet")  # before the database knew of it: both may be what that knows
    lock = StoreLock(tmp_path, "a", "b3", alone=False)
    assert lock.earlier == {"b1", "b2"}
    lock.settle()
    lock.release()
    assert StoreLock(tmp_path, "a", "b4", alone=False).earlier == {"b3"}
    assert StoreLock(tmp_path, "b", "b5", alone=False).earlier == frozenset()


def test_what_a_crash_cut_short_is_no_boot(tmp_path: Path) -> None:
    (tmp_path / "lock-a").write_text("123 b1\n45")
    assert StoreLock(tmp_path, "a", "b2", alone=False).earlier == {"b1"}


def test_a_store_has_one_name(tmp_path: Path) -> None:
    takes = "import sys; from pathlib import Path; from dicomnode.store.lock import store_name; " + (
        "print(store_name(Path(sys.argv[1])))"
    )
    asked = [subprocess.Popen([sys.executable, "-c", takes, tmp_path], stdout=subprocess.PIPE) for _ in range(4)]
    names = {each.communicate()[0].strip() for each in asked}
    assert len(names) == 1
    assert names == {store_name(tmp_path).encode()}
    assert [path.name for path in tmp_path.iterdir()] == ["name"]
