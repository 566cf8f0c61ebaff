"""What the demo starts, it stops; what ends by itself is told with the end of its log; its folder is its own."""

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from dicomnode.cli.common import CommandFailed
from dicomnode.cli.demo.folder import DemoFolder
from dicomnode.cli.demo.node import site_document
from dicomnode.cli.process import Child, clean_environment, free_ports, listens, python
from dicomnode.domain.site import Site


def gone(pid: int) -> bool:
    """Whether no such process runs; one that nobody has waited for yet counts as gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except FileNotFoundError:
        return True


def wait_for(path: Path) -> str:
    deadline = time.monotonic() + 60
    while not (path.exists() and path.read_text()):
        assert time.monotonic() < deadline, f"{path} was not written"
        time.sleep(0.02)
    return path.read_text()


def test_stopping_reaches_what_the_child_left_behind(tmp_path: Path) -> None:
    script = (
        "import pathlib, subprocess, sys, time\n"
        "inner = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        f"pathlib.Path({str(tmp_path / 'pid')!r}).write_text(str(inner.pid))\n"
        "time.sleep(600)\n"
    )
    child = Child("a child", python("-c", script), tmp_path / "child.log")
    inner = int(wait_for(tmp_path / "pid"))
    assert not gone(child.pid)
    child.stop()
    assert gone(child.pid)
    deadline = time.monotonic() + 60
    while not gone(inner) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert gone(inner)
    child.stop()  # once more does no harm


def test_a_child_that_ends_is_told_with_the_end_of_its_log(tmp_path: Path) -> None:
    script = "print('first'); print('the port is taken'); raise SystemExit(3)"
    child = Child("the node", python("-c", script), tmp_path / "node.log")
    with pytest.raises(CommandFailed) as failure:
        child.wait_until(lambda: False, 60, "the node to be ready")
    assert "the node ended by itself with status 3" in str(failure.value)
    assert str(tmp_path / "node.log") in str(failure.value)
    assert "  the port is taken" in str(failure.value)
    child.stop()


def test_waiting_ends(tmp_path: Path) -> None:
    child = Child("the node", python("-c", "import time; time.sleep(600)"), tmp_path / "node.log")
    try:
        with pytest.raises(CommandFailed, match=r"waited 0\.1 s for the moon; its log, .* is empty"):
            child.wait_until(lambda: False, 0.1, "the moon")
    finally:
        child.stop()


def test_settings_of_a_node_in_the_environment_do_not_reach_the_demos(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DICOMNODE_DICOM__PORT", "1")
    monkeypatch.setenv("DICOMNODE_CONFIG", "/elsewhere")
    environment = clean_environment(MORE="yes")
    assert not [name for name in environment if name.startswith("DICOMNODE_")]
    assert environment["MORE"] == "yes"
    assert environment["PATH"] == os.environ["PATH"]


def test_free_ports_are_distinct_and_free() -> None:
    ports = free_ports(5)
    assert len(set(ports)) == 5
    assert not any(listens(port) for port in ports)
    with socket.create_server(("127.0.0.1", ports[0])):
        assert listens(ports[0])


def test_a_folder_with_something_else_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "node").mkdir()
    (tmp_path / "node" / "thesis.txt").write_text("years of work")
    with pytest.raises(CommandFailed, match="no demonstration"), DemoFolder(tmp_path):
        pass
    assert (tmp_path / "node" / "thesis.txt").read_text() == "years of work"


def test_an_earlier_demonstration_is_cleared_away(tmp_path: Path) -> None:
    with DemoFolder(tmp_path / "demo") as folder:
        folder.node.mkdir()
        folder.picture.write_bytes(b"old")
    with DemoFolder(tmp_path / "demo") as folder:
        assert not folder.node.exists()
        assert not folder.picture.exists()


def test_what_was_left_running_keeps_the_folder_until_it_ends(tmp_path: Path) -> None:
    with DemoFolder(tmp_path / "demo") as folder:
        script = "import time; time.sleep(600)"
        kept = subprocess.Popen([sys.executable, "-c", script], pass_fds=(folder.lock,))
        folder.note_pids([kept.pid])
    try:
        with pytest.raises(CommandFailed, match=rf"still runs in .*: stop it \(kill {kept.pid}\)"):
            DemoFolder(tmp_path / "demo").__enter__()
    finally:
        kept.kill()
        kept.wait()
    with DemoFolder(tmp_path / "demo") as folder:
        assert folder.path == tmp_path / "demo"


def test_the_site_data_are_what_an_administrator_could_write() -> None:
    site = Site.model_validate(yaml.safe_load(site_document("STANDIN", 12345, "ct-denoise")))
    enhancing, forwarding = site.rules
    assert (site.destinations[0].ae_title, site.destinations[0].port) == ("STANDIN", 12345)
    assert enhancing.enhance is not None
    assert enhancing.enhance.pipeline == "ct-denoise"
    assert (enhancing.deliver_to, forwarding.forward_original_to) == (("pacs",), ("pacs",))
