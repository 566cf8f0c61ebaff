"""One receiving process: what it is told, what it loads, and that it never outlives its node."""

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
from support.peers import free_port
from support.rawfiles import sample
from support.receivers import launch_for, receiving_processes, send

from dicomnode.receive.admission import Admission
from dicomnode.receive.board import Board, State
from dicomnode.receive.launch import Launch, Post, from_line, to_line
from dicomnode.receive.peer_rules import PeerRule
from dicomnode.receive.ports import Addresses, Ports
from dicomnode.receive.process import ORPHANED
from dicomnode.receive.supervisor import COMMAND
from dicomnode.receive.tenancy import StillThere, Tenancy
from dicomnode.receive.tls import ServerTls
from dicomnode.settings import PeerSettings, Settings

HEAVY = ("sqlalchemy", "torch", "numpy._core", "dicomnode.db", "dicomnode.settings", "pydantic", "prometheus_client")
MEGABYTE = 1 << 20


def test_the_launch_document_says_all_that_the_settings_say() -> None:
    settings = Settings.model_validate(
        {
            "node": {"name": "n1"},
            "dicom": {
                "ae_title": "NODE ONE", "port": 104, "artim_timeout": 3, "pdu_timeout": 4, "network_timeout": 5,
                "max_associations": 7, "allowed_calling_aets": ["CT1"], "echo_only_aets": ["CHECK"],
                "peers": {"MR1": {"addresses": ["10.0.0.0/8"], "tls": True}},
                "tls": {"port": 2762, "cert": "/c.pem", "key": "/k.pem", "ca": "/a.pem"},
            },
            "store": {"root": "/s", "min_free_gb": 2, "max_backlog": 11},
        }
    )  # fmt: skip
    launch = Launch.of(settings, 9.0)
    post = Post(1, Board.create(2, 7).place, (5,), (6, 7))
    line = to_line(launch, post)
    assert line.count(b"\n") == 1
    assert from_line(line) == (launch, post)
    assert launch.receiver.limits.artim_seconds == 3
    assert launch.receiver.limits.pdu_seconds == 4
    assert launch.receiver.limits.idle_seconds == 5
    assert launch.receiver.max_associations == 7
    assert launch.tls == ServerTls("/c.pem", "/k.pem", "/a.pem", "require")
    mr1 = PeerSettings(addresses=("10.0.0.0/8",), tls=True)
    assert launch.admission == Admission(("NODE ONE",), ("CT1",), (PeerRule.of("MR1", mr1),), ("CHECK",))


@pytest.mark.parametrize(
    ("tls", "words"),
    [
        (None, "port 104"),
        ({"port": 2762}, "port 104 and port 2762 (TLS)"),
        ({"port": 2762, "only": True}, "port 2762 (TLS)"),
    ],
)
def test_a_node_says_where_it_is_reached(tls: dict[str, object] | None, words: str) -> None:
    files = {"cert": "/c.pem", "key": "/k.pem", "client": "none"}
    settings = Settings.model_validate({"dicom": {"port": 104, "tls": tls and {**files, **tls}}})
    assert str(Addresses.of(settings.dicom)) == words


def test_a_receiving_process_is_lean(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """The interpreter itself tells every module that the process loads, up to its end after a C-STORE."""
    monkeypatch.setenv("PYTHONPROFILEIMPORTTIME", "1")
    with receiving_processes(tmp_path, 1) as running:
        with running.sender() as sender:
            assert send(sender, sample()) == 0x0000
            assert send(sender, sample("JPEG2000.dcm")) == 0x0000
        status = Path(f"/proc/{running.pids[0]}/status").read_text()
    lines = [line for line in capfd.readouterr().err.splitlines() if line.startswith("import time:")]
    loaded = {line.split("|")[-1].strip() for line in lines}
    assert "dicomnode.receive.process" in loaded
    heavy = {name for name in loaded if any(name == each or name.startswith(f"{each}.") for each in HEAVY)}
    assert not heavy
    peak = next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM"))
    assert peak < 100 * MEGABYTE


def start(root: Path, board: Board, ports: Ports) -> "subprocess.Popen[bytes]":
    """A receiving process of our own; it holds no lock on the root."""
    post = Post(0, board.place, tuple(each.fileno() for each in ports.plain), ())
    inherited = (*post.plain, board.place.memory, board.place.bell)
    process = subprocess.Popen(COMMAND, stdin=subprocess.PIPE, pass_fds=inherited)
    assert process.stdin is not None
    process.stdin.write(to_line(launch_for(root, 0), post))
    process.stdin.flush()
    deadline = time.monotonic() + 60.0
    while board.row(0).get("state") != State.SERVING:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return process


def test_a_process_ends_at_once_when_its_node_is_gone_and_drains_when_told(tmp_path: Path) -> None:
    board, ports = Board.create(1, 8), Ports.open(Addresses("127.0.0.1", free_port(), None))
    orphan = start(tmp_path, board, ports)
    assert orphan.stdin is not None
    orphan.stdin.close()
    assert orphan.wait(60.0) == ORPHANED
    assert board.row(0).get("state") == State.SERVING, "it had no time to say anything"

    board.row(0).set("state", State.ABSENT)
    told = start(tmp_path, board, ports)
    told.send_signal(signal.SIGINT)
    told.send_signal(signal.SIGTERM)
    assert told.wait(60.0) == 0
    assert board.row(0).get("state") == State.ENDED
    ports.close()


def test_a_process_whose_node_died_before_it_said_anything_ends(tmp_path: Path) -> None:
    done = subprocess.run(COMMAND, stdin=subprocess.DEVNULL, timeout=60.0, check=False)
    assert done.returncode == ORPHANED


def test_a_new_node_waits_for_the_receiving_processes_of_the_last(tmp_path: Path) -> None:
    tenancy = Tenancy(tmp_path / "store", "node")
    tenancy.wait_until_empty(0.0)
    descriptor = tenancy.share()
    with subprocess.Popen(["sleep", "60"], pass_fds=(descriptor,)) as tenant:
        os.close(descriptor)
        with pytest.raises(StillThere, match="still run after 0"):
            tenancy.wait_until_empty(0.05)
        tenant.kill()
    tenancy.wait_until_empty(60.0)
