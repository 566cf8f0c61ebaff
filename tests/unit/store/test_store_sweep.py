import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from support.rawfiles import sample

from dicomnode.store import sweep
from dicomnode.store.container import Container
from dicomnode.store.errors import StoreFailed
from dicomnode.store.hold import taken_over
from dicomnode.store.journal import Journal
from dicomnode.store.members import InstanceMember, members
from dicomnode.store.reading import containers, read_bytes
from dicomnode.store.streamed import StreamedInstance
from dicomnode.store.sweep import sweep_dead

FILE = sample()
BOOT = "0123456789abcdef"


def begin(journal: Journal) -> StreamedInstance:
    return journal.stream(
        sop_class_uid=FILE.sop_class,
        sop_instance_uid=FILE.sop_uid,
        transfer_syntax_uid=FILE.transfer_syntax,
        calling_aet="MODALITY",
    )


def a_container(root: Path, instances: int, node: str = "node", serial: int = 1) -> Path:
    """A closed one with instances of no more than a few blocks, so that every byte can be cut."""
    name = f"containers/{node}-receive0-{BOOT}-{serial:06d}.tar"
    (root / "containers").mkdir(exist_ok=True)
    container = Container(root, name)
    for _ in range(instances):
        container.append(FILE.receipt(sha256=""), bytes(100))
    container.close()
    return root / name


def swept(root: Path, node: str = "node", alive: tuple[str, ...] = ()) -> list[str]:
    return [container.name for container in sweep_dead(root, node, alive).removed]


def test_what_holds_instances_stays(tmp_path: Path) -> None:
    journal = Journal(tmp_path, "node", "receive0")
    journal.append(FILE.receipt(), FILE.data_set)
    journal.note({"event": "x"}, sync=True)
    journal.close()
    before = containers(tmp_path)
    result = sweep_dead(tmp_path, "node")
    assert (result.removed, result.kept, result.freed) == ([], [], 0)
    assert containers(tmp_path) == before


@pytest.mark.parametrize("told", [True, False], ids=["its boot is alive", "its writer holds it"])
def test_what_is_being_written_stays(tmp_path: Path, told: bool) -> None:
    journal = Journal(tmp_path, "node", "receive0")
    streamed = begin(journal)
    streamed.write(bytes(1000))
    assert swept(tmp_path, alive=(journal.boot,) if told else ()) == []
    streamed.discard()
    assert containers(tmp_path) == []


def test_a_boot_that_is_alive_keeps_what_nobody_holds(tmp_path: Path) -> None:
    a_container(tmp_path, 0)
    assert swept(tmp_path, alive=(BOOT,)) == []
    assert len(swept(tmp_path)) == 1


@pytest.mark.parametrize("node", ["other", "nod", "node2", "node_receive0"])
def test_other_nodes_files_are_not_touched(tmp_path: Path, node: str) -> None:
    path = a_container(tmp_path, 0, node)
    assert swept(tmp_path) == []
    assert swept(tmp_path, "node", (BOOT,)) == []
    assert path.exists()


@pytest.mark.parametrize(
    "name",
    ["notes.txt", "node.tar", f"node-x-{BOOT}-1.tar", "node-x-0123-000001.tar", f"node-a-b-{BOOT}-000001.tar"],
)
def test_files_that_no_journal_named_are_not_touched(tmp_path: Path, name: str) -> None:
    (tmp_path / "containers").mkdir()
    (tmp_path / "containers" / name).write_bytes(b"")
    assert swept(tmp_path) == []
    assert (tmp_path / "containers" / name).exists()


def test_a_node_is_known_by_the_name_its_files_bear(tmp_path: Path) -> None:
    journal = Journal(tmp_path, "node.1/../x", "receive 0")
    journal.close()
    a_container(tmp_path, 0, "node_1____x")
    assert swept(tmp_path, "node-1") == []
    assert len(swept(tmp_path, "node.1/../x")) == 1


@pytest.mark.parametrize("instances", [1, 2])
def test_cut_at_any_byte_it_goes_only_while_it_holds_nothing_whole(tmp_path: Path, instances: int) -> None:
    path = a_container(tmp_path, instances)
    whole = path.read_bytes()
    first, *_ = members(tmp_path, path.relative_to(tmp_path).as_posix())
    for size in range(0, len(whole), 61):
        path.write_bytes(whole[:size])
        result = sweep_dead(tmp_path, "node")
        assert result.kept == []
        assert [c.size for c in result.removed] == ([size] if size < first.next_offset else []), size
        assert path.exists() == (size >= first.next_offset)


@pytest.mark.parametrize("damage", [bytes(512), b"\xff" * 512], ids=["zeros", "noise"])
def test_a_damaged_first_block_is_not_taken_for_nothing(tmp_path: Path, damage: bytes) -> None:
    path = a_container(tmp_path, 1)
    path.write_bytes(damage + path.read_bytes()[512:])
    result = sweep_dead(tmp_path, "node")
    assert result.removed == []
    assert [tmp_path / container.name for container in result.kept] == [path]
    assert path.exists()


def test_a_container_that_is_swept_while_it_is_made_is_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sweep may come between the making of a file and the hold on it: nothing may be acknowledged into it."""
    journal = Journal(tmp_path, "node", "receive0")
    real = os.fsync

    def sweep_in_between(descriptor: int) -> None:
        real(descriptor)
        assert len(swept(tmp_path)) == 1

    monkeypatch.setattr(os, "fsync", sweep_in_between)
    with pytest.raises(StoreFailed, match="removed"):
        journal.append(FILE.receipt(), FILE.data_set)
    monkeypatch.undo()
    location = journal.append(FILE.receipt(), FILE.data_set)
    journal.close()
    assert read_bytes(tmp_path, location).endswith(FILE.data_set)


PRELUDE = """
import sys
from pathlib import Path
from support.rawfiles import sample
from dicomnode.store.journal import Journal
root, file = Path(sys.argv[1]), sample()
journal = Journal(root, "node", "receive0", min_free_gb=0)
number = 0
def acknowledge(location):
    print(location.container, location.offset, flush=True)
"""

STREAMING = (
    PRELUDE
    + """
piece = bytes(1 << 18)
while True:
    streamed = journal.stream(sop_class_uid=file.sop_class, sop_instance_uid=file.sop_uid,
                              transfer_syntax_uid=file.transfer_syntax, calling_aet="A")
    print("begun", flush=True)
    for _ in range(8):
        streamed.write(piece)
    def receipt_of(length, sha256):
        made = file.receipt(sha256=sha256)
        return type(made)(**(made.to_json() | {"length": length}))
    acknowledge(streamed.finish(receipt_of))
"""
)

APPENDING = (
    PRELUDE
    + """
data_set = bytes(500_000)
while True:
    number += 1
    made = file.receipt(sha256="", series_uid=f"1.{number}")
    acknowledge(journal.append(type(made)(**(made.to_json() | {"length": len(data_set)})), data_set))
"""
)


@pytest.mark.parametrize("writer", [STREAMING, APPENDING], ids=["streaming", "appending"])
def test_after_kill_9_all_that_was_acknowledged_is_there_and_nothing_else_is_left(
    tmp_path: Path, writer: str, killed: Callable[[str, float], list[str]]
) -> None:
    chance = random.Random(4)
    acknowledged: set[str] = set()
    for _ in range(8):
        acknowledged.update(line for line in killed(writer, chance.uniform(0.0, 0.06)) if line != "begun")
    result = sweep_dead(tmp_path, "node")
    assert result.kept == []
    found: set[str] = set()
    for container in containers(tmp_path):
        whole = list(members(tmp_path, container.name))
        assert whole, "what holds nothing was swept"
        assert all(isinstance(member, InstanceMember) for member in whole)
        found.update(f"{m.location.container} {m.location.offset}" for m in whole if isinstance(m, InstanceMember))
    assert acknowledged <= found
    assert swept(tmp_path) == [], "once is enough"


def test_kill_9_in_the_middle_of_streaming(tmp_path: Path, killed: Callable[[str, float], list[str]]) -> None:
    cut = PRELUDE + (
        "streamed = journal.stream(sop_class_uid=file.sop_class, sop_instance_uid=file.sop_uid,\n"
        "    transfer_syntax_uid=file.transfer_syntax, calling_aet='A')\n"
        "streamed.write(bytes(3 << 20))\nprint('begun', flush=True)\nimport time; time.sleep(60)\n"
    )
    assert killed(cut, 0.0) == ["begun"]
    (left,) = containers(tmp_path)
    assert left.size > 3 << 20
    assert list(members(tmp_path, left.name)) == []
    result = sweep_dead(tmp_path, "node")
    assert result.removed == [left]
    assert result.freed == left.size
    assert containers(tmp_path) == []


@pytest.fixture
def killed(tmp_path: Path) -> Callable[[str, float], list[str]]:
    """Runs a program; kills it this many seconds after its first line; its whole lines."""

    def run(program: str, seconds: float) -> list[str]:
        tests = Path(__file__).parents[2]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tests), str(tests.parent)])}
        process = subprocess.Popen(
            [sys.executable, "-c", program, tmp_path], stdout=subprocess.PIPE, env=environment, text=True
        )
        assert process.stdout is not None
        first = process.stdout.readline().strip()
        time.sleep(seconds)
        process.send_signal(signal.SIGKILL)
        rest = process.stdout.read().split("\n")[:-1]
        process.wait()
        process.stdout.close()
        return [first, *rest]

    return run


def test_who_takes_a_container_over_holds_up_its_maker(tmp_path: Path) -> None:
    path = a_container(tmp_path, 1)
    with taken_over(path) as ours, taken_over(path) as theirs:
        assert ours
        assert not theirs


def test_what_goes_while_it_is_listed_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    a_container(tmp_path, 0, serial=1)
    a_container(tmp_path, 0, serial=2)
    real = os.scandir

    def discarded_meanwhile(folder: Path) -> AbstractContextManager[list[os.DirEntry[str]]]:
        with real(folder) as entries:
            listed = sorted(entries, key=lambda entry: entry.name)
        Path(listed[0].path).unlink()
        return contextlib.nullcontext(listed)

    monkeypatch.setattr(os, "scandir", discarded_meanwhile)
    assert len(swept(tmp_path)) == 1
    monkeypatch.undo()
    assert containers(tmp_path) == []


def test_what_goes_before_it_is_looked_at_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = a_container(tmp_path, 0)
    listed = containers(tmp_path)
    path.unlink()
    monkeypatch.setattr(sweep, "containers", lambda root: listed)
    assert swept(tmp_path) == []
