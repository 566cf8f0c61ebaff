"""What goes over the wire is what is stored, whatever it is."""

from collections.abc import Iterator
from pathlib import Path

import pydicom.data
import pytest
from pydicom._uid_dict import UID_dictionary
from support.rawfiles import RawFile, raw_file, sample
from support.receiving import Receiving, receiving

from dicomnode.domain.usable_uid import is_usable_uid
from dicomnode.store.members import EventMember, InstanceMember
from dicomnode.store.reading import read_bytes, read_header

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:pydicom")

FOLDER = Path(pydicom.data.__file__).parent / "test_files"

_JPEG = "1.2.840.10008.1.2.4."

CUT_OFF = {"rtplan_truncated.dcm"}
"""Ends inside an element before the pixels: pydicom reads what there is, a receiver must not."""


def readable() -> list[RawFile]:
    """Every file of pydicom's own that names itself."""
    found = []
    for path in sorted(path for path in FOLDER.rglob("*") if path.is_file()):
        try:
            file = raw_file(path)
        except Exception:  # what pydicom cannot read is no business of this test
            continue
        if all(map(is_usable_uid, (file.sop_class, file.sop_uid, file.study_uid, file.series_uid))):
            found.append(file)
    return found


FILES = readable()


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Receiving]:
    with receiving(tmp_path_factory.mktemp("store")) as node:
        yield node


def test_there_are_many_kinds_of_files() -> None:
    assert len(FILES) > 60
    assert len({file.transfer_syntax for file in FILES}) >= 10


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.path.name)
def test_bytes_are_kept_as_they_came(node: Receiving, file: RawFile) -> None:
    node.news()
    with node.sender() as sender:
        status = sender.store(file.sop_class, file.sop_uid, file.transfer_syntax, file.data_set)
    stored = [member for member in node.news() if not isinstance(member, EventMember)]
    if file.path.name in CUT_OFF:
        assert (status, stored) == (0xC000, [])
        return
    assert status == 0x0000, sender.error_comment
    (member,) = stored
    assert isinstance(member, InstanceMember)
    part10 = read_bytes(node.root, member.location)
    assert part10[len(part10) - member.receipt.length :] == file.data_set
    assert member.receipt.transfer_syntax_uid == file.transfer_syntax
    assert member.receipt.sha256 == file.receipt().sha256
    assert read_header(node.root, member.location).SOPInstanceUID == file.sop_uid


@pytest.mark.parametrize("syntax", [uid for uid, row in UID_dictionary.items() if row[1] == "Transfer Syntax"])
def test_every_transfer_syntax_is_accepted(node: Receiving, syntax: str) -> None:
    with node.sender() as sender:
        assert sender.accepted_transfer_syntax("1.2.840.10008.5.1.4.1.1.2", [syntax]) == syntax


@pytest.mark.parametrize(
    "sop_class",
    ["1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.6", "1.2.840.10008.5.1.4.38.1", "1.2.276.0.7230010.3.1.0.1",
     "1.2.840.10008.5.1.4.1.1.999.7"],
)  # fmt: skip
def test_the_best_syntax_is_taken_for_every_class(node: Receiving, sop_class: str) -> None:
    offered = ["1.2.3.4", _JPEG + "110", _JPEG + "50", _JPEG + "90"]
    with node.sender() as sender:
        assert sender.accepted_transfer_syntax(sop_class, offered) == _JPEG + "90"
        assert sender.accepted_transfer_syntax(sop_class, [*offered, "1.2.840.10008.1.2.1"]) == "1.2.840.10008.1.2.1"
        assert sender.accepted_transfer_syntax(sop_class, ["1.2.3.4", _JPEG + "110"]) == "1.2.3.4"


def test_a_class_of_another_service_is_not_accepted(node: Receiving) -> None:
    with node.sender() as sender:
        assert sender.accepted_transfer_syntax("1.2.840.10008.5.1.4.1.2.2.1", ["1.2.840.10008.1.2"]) is None


def test_a_private_class_in_a_private_syntax_is_stored(node: Receiving) -> None:
    file = sample()
    private = file.sop_class.encode() + b"\0"
    data_set = file.data_set.replace(
        private, b"1.2.276.0.7230010.3.1.0.10"[: len(private)].ljust(len(private), b"\0"), 1
    )
    with node.sender() as sender:
        assert sender.store("1.2.276.0.7230010.3.1.0.10"[: len(private)], file.sop_uid, "1.2.3.4.5", data_set) == 0x0000
