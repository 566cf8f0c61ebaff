"""The stand-in for the PACS: it keeps every instance as it was sent and gives it back."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.data import get_testdata_file

from dicomnode.cli.demo.stand_in import StandIn
from dicomnode.cli.process import listens
from dicomnode.deliver.destination import Destination
from dicomnode.deliver.part10 import data_set_bytes
from dicomnode.deliver.scu import Outgoing, open_association

FILES = [Path(str(get_testdata_file(name, download=False))) for name in ("CT_small.dcm", "JPEG2000.dcm")]


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIn]:
    monkeypatch.setattr("dicomnode.cli.demo.stand_in._START_SECONDS", 150.0)
    lock = os.open(tmp_path / "lock", os.O_RDWR | os.O_CREAT)
    running = StandIn(tmp_path / "pacs", lock)
    os.close(lock)
    try:
        yield running
    finally:
        running.stop()


def test_it_keeps_what_it_is_sent_byte_for_byte_and_ends_when_told(stand_in: StandIn) -> None:
    headers = [dcmread(path) for path in FILES]
    outgoings = [
        Outgoing(each.SOPClassUID, each.SOPInstanceUID, each.file_meta.TransferSyntaxUID, path.read_bytes)
        for each, path in zip(headers, FILES, strict=True)
    ]
    pacs = Destination("pacs", stand_in.ae_title, "127.0.0.1", stand_in.port)
    with open_association(pacs, "NODE", outgoings) as session:
        assert [session.send(outgoing).status for outgoing in outgoings] == [0, 0]
    for header, path in zip(headers, FILES, strict=True):
        (kept,) = stand_in.download(header.SeriesInstanceUID)
        assert kept == header
        file = Path(stand_in.address()) / f"{header.SOPInstanceUID}.dcm"
        assert data_set_bytes(file.read_bytes()) == data_set_bytes(path.read_bytes())
    assert stand_in.download("1.2.3") == []
    assert "not a PACS" in stand_in.words()
    stand_in.stop()
    assert not listens(stand_in.port)
