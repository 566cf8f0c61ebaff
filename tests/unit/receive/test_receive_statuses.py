import zlib
from collections.abc import Iterator
from pathlib import Path
from struct import pack

import pytest
from support.rawfiles import RawFile, sample
from support.rawsend import RawSender
from support.receiving import Receiving, receiving

from dicomnode.receive.statuses import TABLE, Status
from dicomnode.receive.store_request import Refusal
from dicomnode.store.members import EventMember, InstanceMember

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:pydicom")

EXPLICIT = "1.2.840.10008.1.2.1"
MR = "1.2.840.10008.5.1.4.1.1.4"
NESTED = pack("<HH2sHL", 0x8, 0x1115, b"SQ", 0, 0xFFFFFFFF) + pack("<HHL", 0xFFFE, 0xE000, 0xFFFFFFFF)


@pytest.fixture(scope="module")
def ct() -> RawFile:
    return sample()


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Receiving]:
    with receiving(tmp_path_factory.mktemp("store")) as node:
        yield node


@pytest.fixture
def node(running: Receiving) -> Receiving:
    running.news()
    return running


@pytest.fixture
def sender(node: Receiving) -> Iterator[RawSender]:
    with node.sender() as sender:
        yield sender


def element(group: int, number: int, vr: bytes, text: str) -> bytes:
    value = text.encode() + b"\0" * (len(text) % 2)
    return pack("<HH2sH", group, number, vr, len(value)) + value


def data_set(sop_class: str = MR, sop: str = "1.2.3", study: str = "1.2", series: str = "1.3") -> bytes:
    return (
        element(8, 0x16, b"UI", sop_class)
        + element(8, 0x18, b"UI", sop)
        + element(0x20, 0xD, b"UI", study)
        + element(0x20, 0xE, b"UI", series)
    )


def outcome(node: Receiving) -> tuple[list[InstanceMember], list[str]]:
    """What this test stored, and the statuses of what was refused."""
    news = node.news()
    events = [member.event for member in news if isinstance(member, EventMember)]
    refused = [event["status"] for event in events if event["event"] == "instance-refused"]
    return [member for member in news if isinstance(member, InstanceMember)], refused


def test_the_table_is_complete() -> None:
    assert {meaning.status for meaning in TABLE} == set(Status)


def test_0000_only_for_what_is_stored(node: Receiving, sender: RawSender, ct: RawFile) -> None:
    assert sender.store(ct.sop_class, ct.sop_uid, ct.transfer_syntax, ct.data_set) == 0x0000
    (instance,), refused = outcome(node)
    assert refused == []
    assert instance.receipt.sop_instance_uid == ct.sop_uid
    assert (instance.receipt.calling_aet, instance.receipt.called_aet) == ("MODALITY", "DICOMNODE")
    assert instance.receipt.peer == "127.0.0.1"


@pytest.mark.parametrize(
    "uid",
    ["../../x", "/etc/passwd", "", "1..2", ".1", "1.", "1." * 32 + "1", "1.2.x", b"\xff\xfe", b"1.2\x00.3", b"1.2;rm"],
)  # fmt: skip
def test_0117_for_what_is_no_uid(node: Receiving, sender: RawSender, ct: RawFile, uid: str | bytes) -> None:
    assert sender.store(ct.sop_class, uid, ct.transfer_syntax, ct.data_set) == 0x0117
    assert outcome(node) == ([], ["0117"])
    assert all(node.journal.boot in path.name for path in node.root.rglob("*.*")), "a file outside the journal's own"


@pytest.mark.parametrize("uid", ["1.2.03.4", "9.1"])
def test_0000_for_harmless_deviations(sender: RawSender, uid: str) -> None:
    assert sender.store(MR, uid, EXPLICIT, data_set(sop=uid)) == 0x0000


def test_0000_for_padding_of_any_kind(node: Receiving, sender: RawSender) -> None:
    assert sender.store(MR, b"1.2.3 ", EXPLICIT, data_set(sop="1.2.3 ")) == 0x0000
    assert outcome(node)[0][0].receipt.sop_instance_uid == "1.2.3"


def test_0122_for_a_class_of_another_service(sender: RawSender, ct: RawFile) -> None:
    assert sender.store("1.2.840.10008.1.1", "1.2.3", EXPLICIT, ct.data_set) == 0x0122


def test_0122_for_another_class_than_negotiated(sender: RawSender, ct: RawFile) -> None:
    status = sender.store("1.2.3.4", ct.sop_uid, EXPLICIT, ct.data_set, context_sop_class=ct.sop_class)
    assert status == 0x0122


def test_0124_where_the_sender_may_not_store(tmp_path: Path, ct: RawFile) -> None:
    with receiving(tmp_path, echo_only_aets=("PRINTER",)) as node:
        with node.sender("PRINTER") as sender:
            assert sender.store(ct.sop_class, ct.sop_uid, ct.transfer_syntax, ct.data_set) == 0x0124
            assert sender.echo() == 0x0000
        with node.sender("OTHER") as sender:
            assert sender.store(ct.sop_class, ct.sop_uid, ct.transfer_syntax, ct.data_set) == 0x0000


def test_a700_below_the_low_water_mark(tmp_path: Path, ct: RawFile) -> None:
    with receiving(tmp_path, min_free_gb=1e9) as node, node.sender() as sender:
        assert sender.store(ct.sop_class, ct.sop_uid, ct.transfer_syntax, ct.data_set) == 0xA700
        assert "low-water mark" in sender.error_comment
        assert node.instances() == []


def test_a700_while_the_gate_is_shut(tmp_path: Path, ct: RawFile) -> None:
    shut = [Refusal("the index is 10000 instances behind")]
    with receiving(tmp_path, gate=lambda: shut[0] if shut else None) as node, node.sender() as sender:
        assert sender.store(ct.sop_class, ct.sop_uid, ct.transfer_syntax, ct.data_set) == 0xA700
        assert sender.error_comment == "the index is 10000 instances behind"
        shut.clear()
        assert sender.store(ct.sop_class, ct.sop_uid, ct.transfer_syntax, ct.data_set) == 0x0000
        assert len(node.instances()) == 1


def test_a700_for_an_error_of_our_own(tmp_path: Path, ct: RawFile) -> None:
    def broken() -> Refusal | None:
        raise ZeroDivisionError

    with receiving(tmp_path, gate=broken) as node, node.sender() as sender:
        assert sender.store(ct.sop_class, ct.sop_uid, ct.transfer_syntax, ct.data_set) == 0xA700
        assert node.instances() == []


def test_a900_for_another_sop_class(sender: RawSender, ct: RawFile) -> None:
    assert sender.store(MR, ct.sop_uid, ct.transfer_syntax, ct.data_set) == 0xA900
    assert "SOP class" in sender.error_comment


def test_a900_for_another_instance(sender: RawSender, ct: RawFile) -> None:
    assert sender.store(ct.sop_class, "1.2.3", ct.transfer_syntax, ct.data_set) == 0xA900


NOT_UNDERSTOOD = {
    "no data set": None,
    "an empty one": b"",
    "one byte": b"\x00",
    "zeros": bytes(1000),
    "noise": bytes(range(256)) * 20,
    "cut off in a value": data_set()[:-3],
    "no study": data_set(study=""),
    "no series": data_set(series=""),
    "no instance": data_set(sop=""),
    "no class": data_set(sop_class=""),
    "a path as study": data_set(study="../../etc"),
    "a letter as series": data_set(series="a"),
    "sequences without end": NESTED * 5000,
}


@pytest.mark.parametrize("data", NOT_UNDERSTOOD.values(), ids=NOT_UNDERSTOOD)
def test_c000_for_what_cannot_be_understood(node: Receiving, sender: RawSender, data: bytes | None) -> None:
    assert sender.store(MR, "1.2.3", EXPLICIT, data) == 0xC000
    assert sender.error_comment
    assert outcome(node) == ([], ["C000"])


def test_c000_for_a_deflate_bomb(sender: RawSender) -> None:
    compressor = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    bomb = compressor.compress(pack("<HH2sHL", 8, 1, b"UN", 0, 0xFFFFFFF0) + bytes(1 << 27)) + compressor.flush()
    assert len(bomb) < 200_000
    assert sender.store(MR, "1.2.3", "1.2.840.10008.1.2.1.99", bomb) == 0xC000


def test_a_good_one_after_every_bad_one(node: Receiving, sender: RawSender, ct: RawFile) -> None:
    for bad in (b"", bytes(100), data_set(study="")):
        assert sender.store(MR, "1.2.3", EXPLICIT, bad) == 0xC000
        assert sender.store(ct.sop_class, ct.sop_uid, ct.transfer_syntax, ct.data_set) == 0x0000
    instances, refused = outcome(node)
    assert len(instances) == len(refused) == 3
