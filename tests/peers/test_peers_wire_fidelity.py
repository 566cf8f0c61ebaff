"""What is stored is what was on the wire: every sender, every transfer syntax of pydicom's test files, two PDU sizes.

Both sides are read without the node's code: the wire by a tap, the store by tar and pydicom.
"""

import contextlib
import hashlib
import json
import os
import subprocess
import tarfile
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path

import pydicom.data
import pytest
from pydicom import dcmread
from pydicom.filereader import _read_file_meta_info, read_preamble
from pynetdicom import AE
from support.nodeproc import Node
from support.peers import Orthanc, dcmtk
from support.rawfiles import RawFile, raw_file
from support.series import make_ct_series
from support.wiretap import Recording, Wiretap

pytestmark = [pytest.mark.peers, pytest.mark.filterwarnings("ignore:Expected explicit VR")]

FLAGS = {
    "1.2.840.10008.1.2": "-xi",
    "1.2.840.10008.1.2.1": "-xe",
    "1.2.840.10008.1.2.2": "-xb",
    "1.2.840.10008.1.2.1.99": "-xd",
    "1.2.840.10008.1.2.4.50": "-xy",
    "1.2.840.10008.1.2.4.51": "-xx",
    "1.2.840.10008.1.2.4.70": "-xs",
    "1.2.840.10008.1.2.4.80": "-xt",
    "1.2.840.10008.1.2.4.81": "-xu",
    "1.2.840.10008.1.2.4.90": "-xv",
    "1.2.840.10008.1.2.4.91": "-xw",
    "1.2.840.10008.1.2.5": "-xr",
}
"""What makes storescu propose a transfer syntax: all those of pydicom's test files."""


Files = dict[str, list[RawFile]]
"""What is sent, by transfer syntax."""


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    """pydicom's files that can be sent, and one that is too large to be received in memory."""
    found: Files = defaultdict(list)
    paths = sorted((Path(pydicom.data.__file__).parent / "test_files").glob("*.dcm"))
    for path in [*paths, *make_ct_series(tmp_path_factory.mktemp("large"), 1, rows=1600)]:
        file = raw_file(path)
        if (
            file.sop_class
            and file.sop_uid
            and file.study_uid
            and file.series_uid
            and path.read_bytes()[128:132] == b"DICM"
        ):
            found[file.transfer_syntax].append(file)
    return found


@pytest.fixture(scope="module", params=[16384, 131072], ids=["16 KB", "128 KB"])
def node(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    dicom = {"max_pdu": request.param}
    with Node(tmp_path_factory.mktemp("node"), dicom=dicom, completion={"quiet_seconds": 60.0}) as running:
        yield running


def by_storescu(node: Node, files: Files, port: int, tmp_path: Path) -> None:
    """DCMTK's storescu as it comes, with Nagle's algorithm; the flag that the syntax needs, one run for each."""
    environment = {name: value for name, value in os.environ.items() if name != "TCP_NODELAY"}
    for syntax, found in files.items():
        to = ["-R", "-nh", FLAGS[syntax], "-aet", "STORESCU", "-aec", node.ae_title, "127.0.0.1", str(port)]
        subprocess.run([dcmtk("storescu"), *to, *(str(file.path) for file in found)], env=environment,
                       capture_output=True, timeout=120.0, check=False)  # fmt: skip


def by_dcmsend(node: Node, files: Files, port: int, tmp_path: Path) -> None:
    """DCMTK's dcmsend, everything in one run."""
    paths = [str(file.path) for found in files.values() for file in found]
    to = ["-dn", "-nuc", "-nh", "-aet", "DCMSEND", "-aec", node.ae_title, "127.0.0.1", str(port)]
    subprocess.run([dcmtk("dcmsend"), *to, *paths], capture_output=True, timeout=120.0, check=False)


def by_orthanc(node: Node, files: Files, port: int, tmp_path: Path) -> None:
    """Orthanc, one file after the other: several have the same UID, of which it keeps one at a time."""
    modalities = {"node": [node.ae_title, "127.0.0.1", port]}
    with Orthanc(tmp_path / "orthanc", ae_title="SENDER", DicomModalities=modalities, DicomScuTimeout=60) as orthanc:
        for file in (file for found in files.values() for file in found):
            uploaded = orthanc.http.post("/instances", content=file.path.read_bytes())
            if uploaded.status_code == 200:
                identifier = uploaded.json()["ID"]
                orthanc.http.post("/modalities/node/store", json={"Resources": [identifier], "Synchronous": True})
                orthanc.http.delete(f"/instances/{identifier}")


def by_pynetdicom(node: Node, files: Files, port: int, tmp_path: Path) -> None:
    """pynetdicom's `send_c_store` of what pydicom read."""
    for syntax, found in files.items():
        entity = AE(ae_title="PYNETDICOM")
        for sop_class in {file.sop_class for file in found}:
            entity.add_requested_context(sop_class, syntax)
        association = entity.associate("127.0.0.1", port, ae_title=node.ae_title)
        assert association.is_established
        for file in found:
            with contextlib.suppress(ValueError):  # two files that pydicom cannot write as they say they are
                association.send_c_store(dcmread(file.path))
        association.release()


Send = Callable[[Node, Files, int, Path], None]
SENDERS: dict[str, tuple[Send, set[str]]] = {
    "STORESCU": (by_storescu, set()),
    "DCMSEND": (by_dcmsend, {"1.2.840.10008.1.2", "1.2.840.10008.1.2.2"}),
    "SENDER": (by_orthanc, set()),
    "PYNETDICOM": (by_pynetdicom, set()),
}
"""By calling AE title: how it sends, and which syntaxes it never chooses (dcmsend: only explicit little endian)."""

Bytes = tuple[str, str, str]
"""SOP Instance UID, transfer syntax, SHA-256 of the data set."""


def stored(node: Node, calling: str) -> Counter[Bytes]:
    """What lies in the containers: tar and JSON tell who sent it, and pydicom where its file's header ends."""
    found: Counter[Bytes] = Counter()
    for container in sorted((node.root / "var/store").rglob("*.tar")):
        with tarfile.open(container, "r:") as tar:
            contents = {member.name: tar.extractfile(member).read() for member in tar}  # type: ignore[union-attr]
        for name, content in contents.items():
            receipt = contents.get(name.replace(".dcm", ".receipt"), b"")
            if name.endswith(".dcm") and json.loads(receipt)["calling_aet"] == calling:
                stream = BytesIO(content)
                read_preamble(stream, force=False)
                meta = _read_file_meta_info(stream)
                digest = hashlib.sha256(stream.read()).hexdigest()
                found[(str(meta.MediaStorageSOPInstanceUID), str(meta.TransferSyntaxUID), digest)] += 1
    return found


def on_the_wire(recordings: list[Recording]) -> Counter[Bytes]:
    """What was acknowledged with 0000, as it was sent. Nothing may stay without an answer."""
    stores = [store for recording in recordings for store in recording.stores()]
    assert all(store.status is not None for store in stores)
    return Counter((store.sop_uid, store.transfer_syntax, store.sha256) for store in stores if store.status == 0x0000)


@pytest.mark.parametrize("calling", SENDERS)
def test_the_stored_bytes_are_those_on_the_wire(node: Node, files: Files, calling: str, tmp_path: Path) -> None:
    send, cannot = SENDERS[calling]
    with Wiretap(node.dicom_port) as tap:
        send(node, files, tap.port, tmp_path)
        recordings = tap.finished()
    max_pdu = int(node.settings["dicom"]["max_pdu"])
    assert {recording.association().max_pdu for recording in recordings} == {max_pdu}
    lengths = [length for recording in recordings for length in recording.data_pdus()]
    assert max_pdu // 2 < max(lengths) <= max_pdu
    sent = on_the_wire(recordings)
    assert {syntax for _, syntax, _ in sent} == files.keys() - cannot
    assert stored(node, calling) == sent
