"""Real receiving processes: they die alone, are replaced, share one limit, and leave nothing behind."""

import os
import signal
import socket
import threading
import time
from pathlib import Path

import pytest
from support.peers import free_port
from support.rawfiles import RawFile, sample
from support.rawsend import NoAnswer
from support.receivers import launch_for, receiving_processes, send

from dicomnode.receive import supervisor as supervisor_module
from dicomnode.receive.board import Board
from dicomnode.receive.ports import Addresses, Ports
from dicomnode.receive.supervisor import NotServing, Supervisor
from dicomnode.receive.tls import ServerTls

CT = sample()


def alive(pid: int) -> bool:
    """Whether a process runs still; a zombie does not."""
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return False


def refuses(port: int) -> bool:
    """Whether nobody listens any more."""
    try:
        socket.create_connection(("127.0.0.1", port), 60.0).close()
    except ConnectionRefusedError:
        return True
    return False


def another(file: RawFile, number: int) -> RawFile:
    """The same image under another SOP Instance UID of the same length."""
    uid = f"{file.sop_uid[:-4]}9{number:03d}"
    data_set = file.data_set.replace(file.sop_uid.encode(), uid.encode())
    return RawFile(file.path, file.sop_class, uid, file.study_uid, file.series_uid, file.transfer_syntax, data_set)


def test_each_process_receives_into_containers_of_its_own(tmp_path: Path) -> None:
    with receiving_processes(tmp_path) as running:
        assert running.supervisor.serving
        for number, sender in running.senders_on_each(CT).items():
            mine = another(CT, number)
            assert send(sender, mine) == 0x0000
            (container,) = running.stored()[mine.sop_uid]
            assert container.startswith(f"containers/node-receive{number}-{running.boot(number)}-")
            assert running.supervisor.trusted(container)
            sender.close()
        assert not running.supervisor.trusted("containers/node-receive0-0123456789abcdef-000001.tar")
        assert not running.supervisor.trusted("containers/odd")


def test_kill_9_of_one_costs_its_own_associations_alone(tmp_path: Path) -> None:
    with receiving_processes(tmp_path) as running:
        senders, boot = running.senders_on_each(CT), running.boot(0)
        killed, other = running.pids
        stored_by_it = [name for name in running.stored()[CT.sop_uid] if boot in name]
        os.kill(killed, signal.SIGKILL)
        assert send(senders[1], another(CT, 1)) == 0x0000, "the other process's association goes on"
        with pytest.raises(NoAnswer):
            send(senders[0], another(CT, 2))
        running.wait_until(lambda: running.supervisor.serving and len(running.deaths) == 1, "its replacement")
        assert running.pids[1] == other
        (death,) = running.deaths
        assert (death.process, death.boot, death.associations) == (0, boot, 1)
        assert death.reason == "was killed by SIGKILL"
        assert running.open() == [0, 1]
        assert running.board.slots_taken() == 1
        assert running.tally.associations("lost") == 1
        assert stored_by_it
        assert not any(running.supervisor.trusted(name) for name in stored_by_it)
        assert running.boot(0) != boot, "its journal is a new one"
        for sender in running.senders_on_each(another(CT, 3)).values():
            sender.close()
        senders[1].close()


def test_one_that_ends_in_order_is_replaced_and_stays_trusted(tmp_path: Path) -> None:
    with receiving_processes(tmp_path, 1) as running:
        with running.sender() as sender:
            assert send(sender, CT) == 0x0000
        (container,) = running.stored()[CT.sop_uid]
        (pid,) = running.pids
        os.kill(pid, signal.SIGTERM)
        running.wait_until(lambda: not alive(pid), "the process to end")
        running.wait_until(lambda: running.supervisor.serving and running.pids != [pid], "its replacement")
        assert running.deaths == []
        assert running.supervisor.trusted(container)


def test_the_limit_of_associations_holds_over_all_processes(tmp_path: Path) -> None:
    with receiving_processes(tmp_path, max_associations=16) as running:
        opened = []
        for number in range(2):
            with running.alone(number):
                opened += [running.associate() for _ in range(8)]
        assert all(association.is_established for association in opened)
        assert running.open() == [8, 8]
        assert running.refusal() == (2, 3, 2)
        assert running.tally.associations("rejected") == 1
        opened.pop().release()
        running.wait_until(lambda: running.board.slots_taken() == 15, "the slot to be given back")
        opened.append(running.associate())
        assert opened[-1].is_established
        assert running.refusal() == (2, 3, 2)
        held = running.open()[0]
        os.kill(running.pids[0], signal.SIGKILL)
        running.wait_until(lambda: running.board.slots_taken() == 16 - held, "the dead process's slots")
        running.wait_until(lambda: running.supervisor.serving, "its replacement")
        opened.append(running.associate())
        assert opened[-1].is_established
        for association in opened:
            association.abort()


def test_stop_lets_open_associations_finish(tmp_path: Path) -> None:
    statuses: list[int] = []
    with receiving_processes(tmp_path, drain_seconds=60.0) as running:
        sender = running.sender()
        assert send(sender, CT) == 0x0000
        pids = running.pids
        stopping = threading.Thread(target=running.supervisor.stop)
        stopping.start()
        running.wait_until(lambda: not running.tally.serving(), "the processes to be told")
        for number in range(5):
            statuses.append(send(sender, another(CT, number)))
        running.wait_until(lambda: refuses(running.port), "both lobbies to be told, and to close the port")
        assert not running.associate().is_established
        sender.close()
        stopping.join(60.0)
        assert not stopping.is_alive()
        assert not any(map(alive, pids))
        assert statuses == [0x0000] * 5
        assert len(running.stored()) == 6
        assert running.deaths == []
        assert running.board.slots_taken() == 0


def test_one_that_dies_at_once_is_started_ever_more_slowly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "plant").mkdir()
    (tmp_path / "plant/sitecustomize.py").write_text("import os\nos._exit(7)\n")
    monkeypatch.setattr(supervisor_module, "RESTART_FIRST", 0.1)
    monkeypatch.setattr(supervisor_module, "STEADY_SECONDS", 600.0)  # however long it takes to die on this machine
    with receiving_processes(tmp_path / "store", 1) as running:
        path = os.environ.get("PYTHONPATH", "")
        monkeypatch.setenv("PYTHONPATH", f"{tmp_path / 'plant'}:{path}")
        begin = time.monotonic()
        os.kill(running.pids[0], signal.SIGKILL)
        running.wait_until(lambda: len(running.deaths) >= 3, "the third death")
        assert [death.reason for death in running.deaths[1:3]] == ["ended with exit code 7"] * 2
        assert not running.supervisor.serving
        running.wait_until(lambda: len(running.deaths) >= 4, "the fourth death")
        assert time.monotonic() - begin > 0.7, "it pauses: first, twice and four times as long"
        monkeypatch.setenv("PYTHONPATH", path)
        running.wait_until(lambda: running.supervisor.serving, "one that can live")
        with running.sender() as sender:
            assert send(sender, CT) == 0x0000


def test_a_node_does_not_start_with_processes_that_cannot(tmp_path: Path) -> None:
    tls = ServerTls(cert=str(tmp_path / "missing.pem"), key=str(tmp_path / "missing.pem"), client="none")
    port = free_port()
    launch = launch_for(tmp_path, port, tls=tls)
    ports = Ports.open(Addresses("127.0.0.1", None, port))
    supervisor = Supervisor(launch, ports, Board.create(2, 8), lambda death: None)
    with pytest.raises(NotServing):
        supervisor.start()
    assert not supervisor.serving
    assert [child.process for child in supervisor._children] == [None, None]
    ports.close()


AFTER_YOU = """
import time, types
from pathlib import Path
from dicomnode.receive import lobby

def sleep(seconds):
    until = time.monotonic() + 120
    while Path({wait!r}).exists() and time.monotonic() < until:
        time.sleep(0.01)

lobby.time = types.SimpleNamespace(monotonic=time.monotonic, sleep=sleep)
"""


def test_associations_spread_over_the_processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Four scanners at once have all cores, not what chance gives them.

    The busier one waits longer here than it does elsewhere: until the other one has run, however long that takes.
    """
    (tmp_path / "plant").mkdir()
    (tmp_path / "plant/sitecustomize.py").write_text(AFTER_YOU.format(wait=str(tmp_path / "wait")))
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path / 'plant'}:{os.environ.get('PYTHONPATH', '')}")
    with receiving_processes(tmp_path / "store") as running:
        with running.alone(0):
            held = [running.associate() for _ in range(8)]
        (tmp_path / "wait").touch()
        held += [running.associate() for _ in range(8)]
        assert all(association.is_established for association in held)
        assert running.open() == [8, 8]
        (tmp_path / "wait").unlink()
        for association in held:
            association.release()
