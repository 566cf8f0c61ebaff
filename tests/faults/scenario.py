"""What the fault tests share: a site, senders, a kill that is fair to the proxy, and the store read anew."""

import sqlite3
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest
from support.nodeproc import Node
from support.promises import promised
from support.proxy import RecordingProxy
from support.rawfiles import RawFile, raw_file
from support.rawsend import NoAnswer, RawSender

from dicomnode.domain.instance import Location
from dicomnode.store.members import EventMember, InstanceMember, members
from dicomnode.store.part10 import fingerprint
from dicomnode.store.reading import containers, read_bytes


def site(port: int, *, forward: bool = False, enhance: bool = True, ae_title: str = "ORTHANC") -> str:
    """Site data with one destination `pacs` on `port`, where derived series and, with `forward`, originals go."""
    rules = [
        "  - name: every image\n    state: live\n    when: {all: [{attribute: Rows, exists: true}]}\n"
        + ("    enhance: {pipeline: passthrough}\n    deliver_to: [pacs]\n" if enhance else "")
        + ("    forward_original_to: [pacs]\n" if forward else "")
    ]
    return (
        f"destinations:\n  - {{name: pacs, kind: dimse, ae_title: {ae_title}, host: 127.0.0.1, port: {port}}}\n"
        f"rules:{' []' if not enhance and not forward else ''}\n{''.join(rules) if enhance or forward else ''}"
    )


def instances(files: Iterable[Path]) -> list[RawFile]:
    """DICOM files as what goes over the wire."""
    return [raw_file(file) for file in files]


def sender_to(node: Node, calling: str = "MODALITY", timeout: float = 60.0) -> RawSender:
    """A sender of exact bytes to this node."""
    return RawSender("127.0.0.1", node.dicom_port, node.ae_title, calling, timeout=timeout)


def send(sender: RawSender, file: RawFile) -> int:
    """One C-STORE; returns the status of its response. Raises NoAnswer."""
    return sender.store(file.sop_class, file.sop_uid, file.transfer_syntax, file.data_set)


def send_all(node: Node, files: Iterable[RawFile]) -> None:
    """Send over one association; every answer is success."""
    with sender_to(node) as sender:
        assert {send(sender, file) for file in files} <= {0x0000}


def send_patiently(node: Node, files: Iterable[RawFile]) -> None:
    """As `send_all`, but an instance that is answered A700 is sent again: what a modality does."""
    with sender_to(node) as sender:
        for file in files:
            begin = time.monotonic()
            while (status := send(sender, file)) != 0x0000:
                assert status == 0xA700, f"{status:04X}"
                assert time.monotonic() - begin < 60.0, "the back-pressure does not end"
                time.sleep(0.05)


def send_until_it_dies(node: Node, files: Iterable[RawFile], told: Callable[[str], None]) -> None:
    """Send one after the other; `told` gets each SOP Instance UID that was answered 0x0000. Ends without a peer."""
    sender = sender_to(node)
    try:
        for file in files:
            if send(sender, file) == 0x0000:
                told(file.sop_uid)
    except (NoAnswer, OSError):
        sender.abort()


def kill(node: Node, proxy: RecordingProxy, *, workers: bool = True) -> None:
    """`kill -9`; the last request on each association to the PACS counts as unanswered: the dead cannot note answers.

    The proxy still passes on what the node's kernel had in hand, so the verdict waits until those connections ended.
    """
    with proxy._lock:
        were_open = set(proxy._sockets)
    node.kill9(workers=workers)
    excuse(proxy, were_open)


def excuse(proxy: RecordingProxy, associations: Iterable[int]) -> None:
    """Wait until these associations ended; the last request of each counts as unanswered."""
    deadline = time.monotonic() + 60.0
    while set(associations) & proxy._sockets.keys():
        assert time.monotonic() < deadline, "a connection of the dead node stays open"
        time.sleep(0.005)
    with proxy._lock:
        for association in associations:
            for store in [store for store in proxy.stores if store.association == association][-1:]:
                store.excused = True


def in_store(root: Path) -> dict[str, list[InstanceMember]]:
    """Every instance in the containers by SOP Instance UID, read anew and verified; anything else there fails."""
    found: dict[str, list[InstanceMember]] = {}
    for container in containers(root):
        for member in members(root, container.name):
            if isinstance(member, EventMember):
                continue
            assert isinstance(member, InstanceMember), member
            found.setdefault(member.receipt.sop_instance_uid, []).append(member)
    return found


@promised()
def assert_kept(root: Path, acknowledged: Iterable[str], files: Iterable[RawFile]) -> None:
    """Each acknowledged instance is in the store with the bytes that were sent, and nothing there is anything else."""
    sent = {file.sop_uid: fingerprint(file.data_set, file.transfer_syntax) for file in files}
    stored = in_store(root)
    assert set(acknowledged) <= stored.keys(), "an acknowledged instance is not in the store"
    for uid, copies in stored.items():
        assert {copy.receipt.sha256 for copy in copies} == {sent[uid]}


@promised()
def assert_exported(node: Node, series_uid: str, acknowledged: Iterable[str], files: Iterable[RawFile]) -> None:
    """`series export` gives each acknowledged instance of a series, with the bytes that were sent."""
    sent = {file.sop_uid: file.data_set for file in files}
    out = node.root / f"export-{time.monotonic_ns()}"
    node.cli("series", "export", series_uid, "--out", str(out))
    exported = instances(sorted(out.iterdir()))
    assert set(acknowledged) <= {file.sop_uid for file in exported}, "an acknowledged instance is not in the index"
    assert len({file.sop_uid for file in exported}) == len(exported)
    for file in exported:
        assert file.data_set == sent[file.sop_uid]


def ask(node: Node, query: str, *parameters: object) -> list[Any]:
    """Rows of a query on the node's SQLite database, read only: faster than its command line, and blind to it."""
    path = Path(str(node.settings["database"]["url"]).removeprefix("sqlite:///"))
    connection = sqlite3.connect(f"file:{node.root / path}?mode=ro", uri=True, timeout=60.0)
    try:
        return connection.execute(query, parameters).fetchall()
    finally:
        connection.close()


def indexed(node: Node) -> set[str]:
    """SOP Instance UIDs that the index holds."""
    return {uid for (uid,) in ask(node, "SELECT sop_uid FROM instance")}


def wait_indexed(node: Node, files: Iterable[RawFile]) -> None:
    """Until the index holds them: what is acknowledged is indexed a moment later."""
    wanted = {file.sop_uid for file in files}
    node.wait_until(lambda: wanted <= indexed(node), 60.0, "the index to hold what was sent")


def send_whole(node: Node, files: Sequence[RawFile]) -> None:
    """Send a series and say that it is complete. For a node whose quiet time never ends by itself: an instance that
    this machine held up would come late, and a delivery be made in two parts."""
    send_all(node, files)
    wait_indexed(node, files)
    node.cli("series", "complete", files[0].series_uid)


@promised()
def assert_indexed(node: Node, acknowledged: Iterable[str], files: Iterable[RawFile]) -> None:
    """The index leads from each acknowledged instance to the bytes that were sent."""
    sent = {file.sop_uid: file.data_set for file in files}
    rows = {uid: place for uid, *place in ask(node, 'SELECT sop_uid, container, "offset", length FROM instance')}
    assert set(acknowledged) <= rows.keys(), "an acknowledged instance is not in the index"
    for uid in acknowledged:
        assert read_bytes(node.root / str(node.settings["store"]["root"]), Location(*rows[uid])).endswith(sent[uid])


def events(node: Node, kind: str) -> list[str]:
    """Messages of the audit events of one kind, in order."""
    return [text for (text,) in ask(node, "SELECT message FROM audit_event WHERE kind = ? ORDER BY id", kind)]


@promised()
def assert_delivered_once(proxy: RecordingProxy, pacs_series: Iterable[set[str]], counts: Iterable[int]) -> None:
    """The PACS holds derived series of these counts, and every promise about sending was kept."""
    assert sorted(map(len, pacs_series)) == sorted(counts)
    proxy.assert_no_violations()
    hashes: dict[str, set[str | None]] = {}
    for store in proxy.stores:
        hashes.setdefault(store.sop_instance_uid, set()).add(store.sha256)
    several = {uid for uid, found in hashes.items() if len(found - {None}) != 1}
    assert not several, f"sent with more than one content, or never whole: {several}"


def backlog(node: Node) -> float:
    """What the node says of stored instances that its index lacks."""
    text = httpx.get(f"{node.url}/metrics", timeout=30.0, trust_env=False).text
    return next(float(line.split()[1]) for line in text.splitlines() if line.startswith("dicomnode_index_backlog "))


def peak_resident_bytes(pid: int) -> int:
    """The largest resident set size that a process has had."""
    for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    pytest.fail(f"process {pid} has no VmHWM")
