"""`bench receive`: its senders, its figures, its goals, and what it refuses. With real peers: tests/peers."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset, dcmread
from pynetdicom import AE, evt
from pynetdicom.dimse_messages import C_STORE_RQ
from pynetdicom.pdu import P_DATA_TF
from pynetdicom.presentation import AllStoragePresentationContexts
from typer.testing import CliRunner

from dicomnode.cli import app
from dicomnode.cli.bench.network import goals, page, processes, raw_sender
from dicomnode.cli.bench.network.disk import file_system, working_folder
from dicomnode.cli.bench.network.document import document
from dicomnode.cli.bench.network.figures import Figure, Run, Spread, percentile, ratio, spread
from dicomnode.cli.bench.network.instances import Kind, made_for
from dicomnode.cli.bench.network.peers import chosen, known
from dicomnode.cli.bench.network.rows import Row, Sender, receive_rows
from dicomnode.cli.bench.network.sending import Senders, Target
from dicomnode.cli.bench.network.telling import markdown
from dicomnode.cli.common import CommandFailed

MOUNTS = """\
22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
23 22 0:20 / /dev/shm rw,nosuid shared:2 - tmpfs tmpfs rw
24 22 254:1 / /srv/with\\040space rw shared:3 - xfs /dev/vdb rw
25 22 0:21 / /srv/twice rw - ext4 /dev/vdc rw
26 22 0:22 / /srv/twice rw - tmpfs tmpfs rw
"""


def run(number: int, row: str, peer: str, instances: int, seconds: float, **more: float) -> Run:
    values: dict[str, Any] = {"p50_ms": 1.0, "p99_ms": 2.0, "cpu_s": 0.1, **more}
    return Run(number, row, peer, instances, seconds, **values)


@pytest.mark.parametrize(
    ("folder", "kind"),
    [
        ("/home/x", "ext4"),
        ("/dev/shm/y", "tmpfs"),
        ("/dev/shmoo", "ext4"),
        ("/srv/with space/z", "xfs"),
        ("/srv/twice", "tmpfs"),
    ],
)
def test_the_file_system_is_that_of_the_nearest_mount(folder: str, kind: str) -> None:
    assert file_system(Path(folder), MOUNTS) == kind


def test_memory_is_refused_unless_asked_for_and_then_said() -> None:
    ran = CliRunner().invoke(app, ["bench", "receive", "--dir", "/dev/shm"])
    assert isinstance(ran.exception, CommandFailed)
    assert "tmpfs, which is memory" in str(ran.exception)
    with working_folder(Path("/dev/shm"), allow_tmpfs=True) as (folder, kind):
        assert (kind, folder.parent) == ("tmpfs", Path("/dev/shm"))
        (folder / "something").touch()
    assert not folder.exists()
    assert "MEMORY, NOT A DISK" in markdown(described([run(0, "ct-1", "node", 10, 1.0)], in_memory=True))


def test_what_cannot_be_measured_is_refused_plainly(tmp_path: Path) -> None:
    for options, words in (
        (["--peers", "orthanc,dcm4chee"], "there is no peer 'dcm4chee'"),
        (["--peers", ","], "there is nobody to measure"),
        (["--processes", "many"], "a number or auto"),
        (["--dir", str(tmp_path / "none")], "there is no folder"),
        ([f"--{count}=0" for count in ("ct", "mr", "dx", "nagle", "opens", "series")], "there is nothing to send"),
    ):
        ran = CliRunner().invoke(app, ["bench", "receive", "--dir", str(tmp_path), *options])
        assert isinstance(ran.exception, CommandFailed), ran.output
        assert words in str(ran.exception)


def test_peers_that_are_not_installed_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dicomnode.cli.bench.network.orthanc.version", lambda: None)
    monkeypatch.setattr("dicomnode.cli.bench.network.dcmtk.version", lambda name: None)
    peers, absent = chosen(",".join(known("auto")), "auto")
    assert [peer.key for peer in peers] == ["receiving", "node"]
    orthancs = ["Orthanc", "Orthanc, as it comes", "Orthanc, sync off"]
    assert absent == ["storescp", "storescp +B", "storescp --ignore", *orthancs]


def test_rows_of_nothing_are_left_out() -> None:
    counts = {"ct": 3, "mr": 2, "dx": 0, "nagle": 5, "each": 0, "series": 7}
    rows = receive_rows(counts, 4)
    assert [(row.key, row.instances, row.associations) for row in rows] == [
        ("ct-1", 3, 1),
        ("mr-1", 2, 1),
        ("mr-k", 4, 4),
        ("nagle", 5, 1),
        ("series", 7, 1),
    ]
    assert rows[-1].title == "CT, one series of 7, 1 association"
    assert {row.sender for row in rows} == {Sender.RAW, Sender.STORESCU}


def test_every_goal_is_of_a_row_and_a_peer_that_there_is() -> None:
    counts = dict.fromkeys(("ct", "mr", "dx", "nagle", "each", "series"), 100)
    rows = {row.key for row in receive_rows(counts, 4)}
    assert {goal.row for goal in goals.RECEIVE} <= rows
    assert {goal.to for goal in goals.RECEIVE if goal.to} <= set(known("auto"))


def test_ratios_are_taken_within_a_round() -> None:
    """The second round found the machine busy: both were slow, and their ratio is what it was."""
    runs = [
        run(0, "ct-1", "node", 100, 1.0),
        run(0, "ct-1", "orthanc", 100, 4.0),
        run(1, "ct-1", "node", 100, 10.0),
        run(1, "ct-1", "orthanc", 100, 40.0),
        run(2, "ct-1", "node", 100, 1.0),
        run(2, "ct-1", "orthanc", 100, 2.0),
        run(3, "ct-1", "node", 100, 1.0),
        run(0, "mr-1", "orthanc", 100, 1.0),
    ]
    assert ratio(runs, "ct-1", "node", "orthanc", Figure.RATE) == Spread(4.0, 2.0, 4.0)
    assert ratio(runs, "mr-1", "node", "orthanc", Figure.RATE) is None
    assert spread(runs, "ct-1", "node", Figure.RATE) == Spread(100.0, 10.0, 100.0)
    assert spread(runs, "ct-1", "storescp", Figure.RATE) is None
    assert percentile([1.0, 2.0, 3.0, 4.0], 0.5) == 3.0
    assert percentile([1.0], 0.99) == 1.0


def test_a_ratio_to_nothing_is_none() -> None:
    runs = [run(0, "ct-1", "node", 1, 1.0, cpu_s=1.0), run(0, "ct-1", "storescp", 1, 1.0, cpu_s=0.0)]
    assert ratio(runs, "ct-1", "node", "storescp", Figure.CPU) is None


def test_goals_are_judged_by_medians() -> None:
    runs = [
        run(0, "ct-1", "node", 100, 1.0, cpu_s=0.13),
        run(0, "ct-1", "orthanc", 100, 3.1),
        run(0, "ct-1", "storescp+B", 100, 0.9),
        run(0, "ct-1", "storescp", 100, 1.0, cpu_s=0.1),
        run(0, "series", "node", 100, 1.0, receiver_mib=149.0),
    ]
    verdicts = {(v.goal.row, v.goal.figure, v.goal.to): v for v in goals.judge(goals.RECEIVE, runs, ["node"])}
    reached = {key: verdict.reached for key, verdict in verdicts.items()}
    assert reached == {
        ("ct-1", Figure.RATE, "storescp+B"): False,
        ("ct-1", Figure.RATE, "orthanc"): True,
        ("ct-1", Figure.CPU, "storescp"): False,
        ("series", Figure.RECEIVER_MIB, None): True,
    }
    assert verdicts["ct-1", Figure.CPU, "storescp"].goal.words() == "<= 1.2 x"
    assert verdicts["series", Figure.RECEIVER_MIB, None].goal.words() == "<= 150"


def described(runs: list[Run], in_memory: bool = False) -> dict[str, Any]:
    around = {
        "machine": {"cores": 2, "processor": "P", "memory_gib": 4.0, "system": "S", "python": "3", "load_average": 0.1},
        "versions": {"DCMTK": "3.6.7"},
        "file_system": "tmpfs" if in_memory else "ext4",
        "in_memory": in_memory,
        "absent": ["Orthanc"],
        "repeats": 1,
    }
    rows = [Row("ct-1", "CT", 10)]
    peers = [known("auto")[key]() for key in ("storescp+B", "node")]
    return document(around, [Kind.made("CT", 16)], rows, peers, runs, ["node"], goals.RECEIVE)


def test_a_page_shows_what_was_measured_and_what_was_reached() -> None:
    text = markdown(described([run(0, "ct-1", "node", 10, 0.5), run(0, "ct-1", "storescp+B", 10, 0.25)]))
    lines = text.splitlines()
    assert "| CT, 1 association | dicomnode | 20 | 1 | 10 | 0.50 |" in lines
    assert "| CT, 1 association | storescp +B | 40 | 1 | 10 |  |" in lines
    assert "| CT, 1 association | instances/s >= 1 x storescp +B | dicomnode | 0.5 x | NOT REACHED |" in lines
    assert "Not installed, and so not measured: Orthanc." in text
    assert "DCMTK 3.6.7; everything on one ext4 file system." in text


def test_a_page_keeps_all_but_its_tables(tmp_path: Path) -> None:
    file = tmp_path / "page.md"
    begin, end = page.marks("receive")
    file.write_text(f"# Before\n\n{begin}\nold\n{end}\n\nafter\n")
    page.write(file, "receive", "| new |")
    page.write(file, "receive", "| newer |")
    assert file.read_text() == f"# Before\n\n{begin}\n\n| newer |\n\n{end}\n\nafter\n"
    ran = CliRunner().invoke(app, ["bench", "deliver", "--page", str(file)])
    assert isinstance(ran.exception, CommandFailed)
    assert "has no place for these tables" in str(ran.exception)


def test_the_benchmarks_page_has_a_place_for_both_tables() -> None:
    file = Path(__file__).parents[3] / "docs" / "benchmarks.md"
    for bench in ("receive", "deliver"):
        before, after = page.parts(file, bench)
        assert before
        assert after


@pytest.mark.parametrize(("modality", "size", "megabytes"), [("CT", 512, 0.53), ("MR", 132, 0.036), ("DX", 300, 0.18)])
def test_made_instances_are_of_their_kind(modality: str, size: int, megabytes: float) -> None:
    kind = Kind.made(modality, size)
    assert len(kind.data_set) / 1e6 == pytest.approx(megabytes, rel=0.02)
    files = [dcmread(BytesIO(part10)) for _, _, part10 in kind.instances(time.time_ns(), 3)]
    assert [int(dataset.InstanceNumber) for dataset in files] == [1, 2, 3]
    assert len({dataset.SOPInstanceUID for dataset in files}) == 3
    assert len({dataset.SeriesInstanceUID for dataset in files}) == 1
    for dataset in files:
        assert dataset.file_meta.MediaStorageSOPInstanceUID == dataset.SOPInstanceUID
        assert dataset.file_meta.MediaStorageSOPClassUID == dataset.SOPClassUID == kind.sop_class
        assert dataset.pixel_array.shape == (size, size)
        assert dataset.SOPInstanceUID.is_valid


@pytest.mark.parametrize("largest", [4096, 16384, 16383, 131072])
def test_a_message_is_cut_as_pynetdicom_reads_it(largest: int) -> None:
    kind = Kind.made("MR", 64)
    message = raw_sender.cut(raw_sender.command_set(kind.sop_class), kind.data_set, largest)
    read = C_STORE_RQ()
    complete = False
    while message:
        length = 6 + int.from_bytes(message[2:6], "big")
        assert length <= largest + 6
        pdu = P_DATA_TF()
        pdu.decode(bytes(message[:length]))
        complete = read.decode_msg(pdu.to_primitive())
        del message[:length]
    assert complete
    request = read.message_to_primitive()
    assert request.AffectedSOPInstanceUID == raw_sender.INSTANCE
    assert request.AffectedSOPClassUID == kind.sop_class
    assert request.DataSet.getvalue() == kind.data_set


def test_the_status_is_found_behind_any_message_id() -> None:
    """Message ID 521 looks like the end of the status's tag."""
    elements = [(0x0002, b"1.2\0"), (0x0100, b"\x01\x80"), (0x0120, b"\x09\x02"), (0x0800, b"\x01\x01")]
    body = b"".join(
        b"\0\0" + number.to_bytes(2, "little") + len(value).to_bytes(4, "little") + value
        for number, value in [*elements, (0x0900, b"\x00\xa7")]
    )
    assert raw_sender.status_of(bytes(6) + body) == 0xA700
    with pytest.raises(raw_sender.Failed, match="without a status"):
        raw_sender.status_of(bytes(6) + body[:-10])


class Received:
    """What a pynetdicom SCP was sent, and what it answers."""

    def __init__(self) -> None:
        self.instances: list[tuple[str, Dataset]] = []
        self.associations = 0
        self.status = 0x0000
        self._lock = threading.Lock()

    def store(self, event: evt.Event) -> int:
        with self._lock:
            self.instances.append((str(event.request.AffectedSOPInstanceUID), event.dataset))
        return self.status

    def accepted(self, event: evt.Event) -> None:
        with self._lock:
            self.associations += 1


@contextmanager
def listening(received: Received) -> Iterator[Target]:
    entity = AE(ae_title="PEER")
    entity.require_called_aet = True
    entity.supported_contexts = AllStoragePresentationContexts
    handlers = [(evt.EVT_C_STORE, received.store), (evt.EVT_ACCEPTED, received.accepted)]
    server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)
    try:
        yield Target("PEER", server.server_address[1])
    finally:
        server.shutdown()


@pytest.mark.parametrize(
    ("row", "associations"),
    [
        (Row("a", "MR", 5), 1),
        (Row("b", "MR", 7, 3), 3),
        (Row("c", "MR", 4, sender=Sender.EACH), 5),  # one of them to ask for the peer's maximum length
    ],
)
def test_every_instance_is_sent_once_under_its_own_uid(tmp_path: Path, row: Row, associations: int) -> None:
    received = Received()
    senders = Senders(tmp_path, made_for({"MR"}, {"MR": 32}))
    with listening(received) as target:
        sent = senders.send(row, target)
    assert len(received.instances) == row.instances == len({uid for uid, _ in received.instances})
    assert all(dataset.SOPInstanceUID == uid for uid, dataset in received.instances)
    assert sorted(int(d.InstanceNumber) for _, d in received.instances) == list(range(1, row.instances + 1))
    assert len({dataset.SeriesInstanceUID for _, dataset in received.instances}) == row.associations
    assert received.associations == associations
    assert sent.seconds > 0
    assert 0 < sent.p50_ms <= sent.p99_ms


def test_a_refusal_ends_the_measurement(tmp_path: Path) -> None:
    received = Received()
    received.status = 0xA700
    senders = Senders(tmp_path, made_for({"MR"}, {"MR": 16}))
    with listening(received) as target:
        with pytest.raises(CommandFailed, match=r"not every one of 2 instances was stored; statuses: {'A700': 2}"):
            senders.send(Row("a", "MR", 2), target)
        with pytest.raises(CommandFailed, match="answered the association request with a PDU of type 3"):
            senders.send(Row("a", "MR", 2, 2), Target("OTHER", target.port))
    with pytest.raises(CommandFailed, match="Connection refused"):
        senders.send(Row("a", "MR", 2), target)


def test_a_line_of_the_process_table() -> None:
    fields = "S 41 7 7 0 -1 4194560 1 2 3 4 150 50 30 20 20 0 1 0 100 0 0"
    process = processes.stat(f"42 (storescp) S (x)) {fields}")
    ticks = os.sysconf("SC_CLK_TCK")
    assert (process.pid, process.parent, process.state) == (42, 41, "S")
    assert process.cpu == 250 / ticks


def test_a_tree_of_processes_is_measured_and_put_to_sleep() -> None:
    program = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'while True: pass'])"
    parent = subprocess.Popen([sys.executable, "-c", program])
    try:
        until(lambda: len(processes.tree([parent.pid])) == 2)
        until(lambda: processes.cpu_seconds([parent.pid]) > 0.1)
        assert set(processes.peaks([parent.pid])) == {each.pid for each in processes.tree([parent.pid])}
        assert all(mib > 1 for mib in processes.peaks([parent.pid]).values())
        processes.freeze([parent.pid])
        until(lambda: {each.state for each in processes.tree([parent.pid])} == {"T"})
        processes.thaw([parent.pid])
        until(lambda: "R" in {each.state for each in processes.tree([parent.pid])})
    finally:
        for each in processes.tree([parent.pid]):
            os.kill(each.pid, 9)
        parent.wait()


def until(condition: Any) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)
