"""Storage commitment as it comes: pynetdicom as requestor of both kinds, and bytes that no library would send."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from pydicom import Dataset, Sequence
from pydicom.uid import (
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)
from pynetdicom import AE, build_role
from pynetdicom.association import Association
from pynetdicom.dsutils import encode
from pynetdicom.sop_class import StorageCommitmentPushModel, StorageCommitmentPushModelInstance, Verification
from support.normalized import action, encoded, exchange
from support.receiving import Receiving, receiving

from dicomnode.domain.commitment import read_report, read_request
from dicomnode.domain.data_set import UnreadableDataSet
from dicomnode.receive.limits import Limits
from dicomnode.receive.service_statuses import TABLE, ServiceStatus

SYNTAXES = [ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian]
TRANSACTION = "1.2.3.4"


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Receiving]:
    with receiving(tmp_path_factory.mktemp("store"), commitment=True) as node:
        yield node


def references(uids: list[str], **more: Any) -> Sequence:
    found = Sequence()
    for uid in uids:
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = CTImageStorage, uid
        for keyword, value in more.items():
            setattr(item, keyword, value)
        found.append(item)
    return found


def request(uids: list[str], transaction: str = TRANSACTION) -> Dataset:
    content = Dataset()
    content.TransactionUID, content.ReferencedSOPSequence = transaction, references(uids)
    return content


def report(committed: list[str], failed: list[str], reason: int = 0x0112) -> Dataset:
    content = request(committed)
    if failed:
        content.FailedSOPSequence = references(failed, FailureReason=reason)
    return content


def associate(
    node: Receiving, *, scu: bool | None = None, scp: bool = False, syntaxes: list[str] = SYNTAXES, calling: str = "CT1"
) -> Association:
    """With role selection unless `scu` is None."""
    entity = AE(ae_title=calling)
    entity.add_requested_context(StorageCommitmentPushModel, syntaxes)
    entity.add_requested_context(Verification)
    roles = [] if scu is None else [build_role(StorageCommitmentPushModel, scu_role=scu, scp_role=scp)]
    return entity.associate("127.0.0.1", node.port, ae_title="DICOMNODE", ext_neg=roles)


def accepted(association: Association) -> tuple[bool, bool] | None:
    """Whether the requestor is SCU and SCP of storage commitment, as its library understood us; None: not at all."""
    association.release()
    for context in association.accepted_contexts:
        if context.abstract_syntax == StorageCommitmentPushModel:
            return bool(context.as_scu), bool(context.as_scp)
    return None


def ask(association: Association, content: Dataset, action: int = 1, instance: str = "") -> int:
    instance = instance or StorageCommitmentPushModelInstance
    status, _ = association.send_n_action(content, action, StorageCommitmentPushModel, instance)
    return int(status.Status)


def tell(association: Association, content: Dataset, event: int, instance: str = "") -> int:
    instance = instance or StorageCommitmentPushModelInstance
    status, _ = association.send_n_event_report(content, event, StorageCommitmentPushModel, instance)
    return int(status.Status)


@pytest.mark.parametrize(
    ("proposed", "granted"),
    [
        (None, (True, False)),
        ((True, False), (True, False)),
        ((False, True), (False, True)),
        ((True, True), (True, True)),
    ],
)
def test_roles_are_granted_as_they_are_asked_for(
    node: Receiving, proposed: tuple[bool, bool] | None, granted: tuple[bool, bool]
) -> None:
    scu, scp = proposed or (None, False)
    assert accepted(associate(node, scu=scu, scp=scp)) == granted


@pytest.mark.parametrize(
    ("proposed", "granted"),
    [(None, None), ((True, False), None), ((False, True), (False, True)), ((True, True), (False, True))],
)
def test_without_the_setting_nobody_asks_and_everybody_may_report(
    tmp_path: Path, proposed: tuple[bool, bool] | None, granted: tuple[bool, bool] | None
) -> None:
    scu, scp = proposed or (None, False)
    with receiving(tmp_path) as node:
        association = associate(node, scu=scu, scp=scp)
        rejected = [context.result for context in association.rejected_contexts]
        assert accepted(association) == granted
        assert rejected == ([0x03] if granted is None else [])


def test_a_peer_without_the_verb_may_not_ask(tmp_path: Path) -> None:
    peers = {"CT1": {"verbs": ["store", "echo"]}, "CT2": {}, "WATCH": {"verbs": ["echo"]}}
    with receiving(tmp_path, commitment=True, peers=peers) as node:
        assert accepted(associate(node, scu=True, scp=True, calling="CT1")) == (False, True)
        assert accepted(associate(node, scu=True, scp=True, calling="CT2")) == (True, True)
        assert accepted(associate(node, scu=True, scp=True, calling="WATCH")) is None


def test_other_classes_keep_the_default_roles(node: Receiving) -> None:
    """Role selection for a storage class is not answered: nobody is sent anything over his own association."""
    entity = AE(ae_title="CT1")
    entity.add_requested_context(CTImageStorage)
    role = build_role(CTImageStorage, scu_role=True, scp_role=True)
    association = entity.associate("127.0.0.1", node.port, ae_title="DICOMNODE", ext_neg=[role])
    association.release()
    (context,) = association.accepted_contexts
    assert (context.as_scu, context.as_scp) == (True, False)


@pytest.mark.parametrize("syntax", SYNTAXES)
@pytest.mark.parametrize("undefined", [False, True])
def test_a_request_is_kept_and_answered(node: Receiving, syntax: str, undefined: bool) -> None:
    node.news()
    content = request(["1.2.1", "1.2.2.0"])
    content["ReferencedSOPSequence"].is_undefined_length = undefined
    for item in content.ReferencedSOPSequence:
        item.is_undefined_length_sequence_item = undefined
    association = associate(node, syntaxes=[syntax])
    assert ask(association, content) == 0
    association.release()
    note = node.events("commitment-request")[-1]
    assert note["instances"] == [[CTImageStorage, "1.2.1"], [CTImageStorage, "1.2.2.0"]]
    assert (note["transaction_uid"], note["calling_aet"], note["called_aet"]) == (TRANSACTION, "CT1", "DICOMNODE")
    assert note["peer"] == "127.0.0.1"
    assert note["association"] == node.events("association-opened")[-1]["association"]


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_a_report_is_kept_and_answered(node: Receiving, syntax: str) -> None:
    association = associate(node, scu=False, scp=True, syntaxes=[syntax], calling="PACS")
    assert tell(association, report(["1.2.1"], ["1.2.2", "1.2.3"]), 2) == 0
    assert tell(association, report(["1.2.1"], []), 1) == 0
    association.release()
    failures, success = node.events("commitment-report")[-2:]
    assert (failures["event_type"], failures["committed"]) == (2, ["1.2.1"])
    assert failures["failed"] == [["1.2.2", 0x0112], ["1.2.3", 0x0112]]
    assert (success["event_type"], success["committed"], success["failed"]) == (1, ["1.2.1"], [])
    assert (success["transaction_uid"], success["calling_aet"]) == (TRANSACTION, "PACS")


def test_an_echo_goes_over_the_same_association(node: Receiving) -> None:
    association = associate(node)
    assert association.send_c_echo().Status == 0
    assert ask(association, request(["1.2.1"])) == 0
    assert association.send_c_echo().Status == 0
    association.release()


def test_thousands_of_instances_are_one_request(node: Receiving) -> None:
    uids = [f"1.2.840.113619.2.55.3.604688119.868.1234567890.{number}.12345678901" for number in range(3_000)]
    association = associate(node)
    assert ask(association, request(uids)) == 0
    association.release()
    assert [uid for _, uid in node.events("commitment-request")[-1]["instances"]] == uids


DEFLATED = [DeflatedExplicitVRLittleEndian, "1.2.840.10008.1.2.4.50"]


def test_a_native_transfer_syntax_is_demanded(node: Receiving) -> None:
    association = associate(node, syntaxes=DEFLATED)
    assert [context.result for context in association.rejected_contexts] == [0x04]
    association.release()
    association = associate(node, syntaxes=[*DEFLATED, ImplicitVRLittleEndian])
    syntaxes = {context.abstract_syntax: context.transfer_syntax[0] for context in association.accepted_contexts}
    association.release()
    assert syntaxes[StorageCommitmentPushModel] == ImplicitVRLittleEndian


GOOD = encoded(request(["1.2.1"]))
REPORT, REPORTING = action(field=0x0100), b"\0\1"
NO_UID = encoded(request(["1.2.1"])).replace(b"1.2.1\0", b"1.2.x\0")

PROVOKED = {
    "success": (ServiceStatus.SUCCESS, action(), GOOD, b""),
    "noise": (ServiceStatus.PROCESSING_FAILURE, action(), b"noise, and no data set", b""),
    "half an item": (ServiceStatus.PROCESSING_FAILURE, action(), GOOD[:-3], b""),
    "another instance": (ServiceStatus.NO_SUCH_SOP_INSTANCE, action(instance="1.2.3"), GOOD, b""),
    "another class": (ServiceStatus.NO_SUCH_SOP_CLASS, action(sop_class="1.2.3"), GOOD, b""),
    "another action": (ServiceStatus.NO_SUCH_ACTION, action(type_id=2), GOOD, b""),
    "another event": (ServiceStatus.NO_SUCH_EVENT_TYPE, action(field=0x0100, type_id=3), GOOD, REPORTING),
    "empty": (ServiceStatus.INVALID_ARGUMENT_VALUE, action(), b"", b""),
    "empty list": (ServiceStatus.INVALID_ARGUMENT_VALUE, action(), encoded(request([])), b""),
    "empty report": (ServiceStatus.INVALID_ARGUMENT_VALUE, REPORT, encoded(request([])), REPORTING),
    "no transaction": (ServiceStatus.INVALID_ARGUMENT_VALUE, action(), encoded(request(["1.2.1"], "")), b""),
    "no UID": (ServiceStatus.INVALID_ARGUMENT_VALUE, action(), NO_UID, b""),
    "a report by an SCU": (ServiceStatus.UNRECOGNIZED_OPERATION, REPORT, GOOD, b""),
    "a request by an SCP": (ServiceStatus.UNRECOGNIZED_OPERATION, action(), GOOD, REPORTING),
    "N-GET": (ServiceStatus.UNRECOGNIZED_OPERATION, action(field=0x0110), GOOD, b""),
    "too long": (ServiceStatus.RESOURCE_LIMITATION, action(), GOOD + bytes(Limits().memory_bytes), b""),
}  # fmt: skip


@pytest.mark.parametrize("case", PROVOKED)
def test_each_status_is_provoked(node: Receiving, case: str) -> None:
    status, command, data, role = PROVOKED[case]
    before = len(node.events("commitment-request")) + len(node.events("commitment-report"))
    assert exchange(node.port, command, data, role=role) == status
    kept = len(node.events("commitment-request")) + len(node.events("commitment-report")) - before
    assert kept == (status == 0)
    if status:
        assert node.events("service-refused")[-1]["status"] == status.code


def test_the_table_of_statuses_is_whole() -> None:
    assert {row.status for row in TABLE} == set(ServiceStatus)
    here = {status for status, *_ in PROVOKED.values()}
    assert set(ServiceStatus) - here == {ServiceStatus.INVALID_SOP_INSTANCE}, "which an N-CREATE alone provokes"


def test_what_is_too_long_leaves_nothing_behind(node: Receiving) -> None:
    """A data set that nobody keeps is read over: not a byte of it goes to disk."""
    before = {path.name for path in node.root.rglob("*")}
    size = sum(path.stat().st_size for path in node.root.rglob("*") if path.is_file())
    assert exchange(node.port, action(), GOOD + bytes(6 << 20)) == ServiceStatus.RESOURCE_LIMITATION
    assert exchange(node.port, action(), bytes(6 << 20), sop_class=str(CTImageStorage)) == 0x0211
    assert {path.name for path in node.root.rglob("*")} == before
    assert sum(path.stat().st_size for path in node.root.rglob("*") if path.is_file()) - size < 1 << 20


def test_a_full_store_says_so_and_keeps_nothing(tmp_path: Path) -> None:
    with receiving(tmp_path, commitment=True, min_free_gb=1e9) as node:
        assert exchange(node.port, action(), GOOD) == ServiceStatus.RESOURCE_LIMITATION
        assert node.events("commitment-request") == []


UIDS = st.lists(st.integers(0, 10**9).map(str), min_size=2, max_size=6).map(".".join)


@given(st.lists(UIDS, max_size=5), st.lists(UIDS, max_size=5), st.sampled_from(SYNTAXES), st.booleans())
@settings(suppress_health_check=[HealthCheck.too_slow])
def test_what_pydicom_writes_is_read(committed: list[str], failed: list[str], syntax: Any, undefined: bool) -> None:
    content = report(committed, failed)
    for element in content:
        element.is_undefined_length = undefined and element.VR == "SQ"
    content.PatientName, content.ReferencedStudySequence = "A^B", references(["9.9.9"])
    data = encode(content, syntax.is_implicit_VR, syntax.is_little_endian)
    assert data is not None
    found = read_report(data, str(syntax))
    assert (found.transaction_uid, list(found.committed)) == (TRANSACTION, committed)
    assert list(found.failed) == [(uid, 0x0112) for uid in failed]


@given(st.binary(max_size=200), st.sampled_from(SYNTAXES))
@example(b"\xfe\xff\r\xe0\0\0\0\0", ExplicitVRLittleEndian)
def test_noise_is_unreadable_or_names_nothing_else(noise: bytes, syntax: str) -> None:
    try:
        found = read_request(noise, syntax)
    except UnreadableDataSet:
        return
    assert all(len(uid) <= len(noise) for uid in found.uids)


@given(st.integers(0, 10**6), st.integers(0, 255), st.sampled_from(SYNTAXES), st.booleans())
def test_a_damaged_request_is_unreadable_or_read(position: int, value: int, syntax: Any, cut: bool) -> None:
    data = bytearray(encode(request(["1.2.1", "1.2.2"]), syntax.is_implicit_VR, syntax.is_little_endian) or b"")
    position %= len(data)
    data[position] = value
    try:
        found = read_request(bytes(data[:position] if cut else data), syntax)
    except UnreadableDataSet:
        return
    assert len(found.instances) <= 2


def test_sequences_without_end_are_refused() -> None:
    opening = b"\x08\0\x15\x11SQ\0\0\xff\xff\xff\xff" + b"\xfe\xff\0\xe0\xff\xff\xff\xff"
    with pytest.raises(UnreadableDataSet, match="nested"):
        read_request(opening * 200_000, ExplicitVRLittleEndian)


def test_a_list_of_nothing_is_refused_early() -> None:
    length = (8 * 500_000).to_bytes(4, "little")
    with pytest.raises(UnreadableDataSet, match="more elements"):
        read_request(b"\x08\0\x99\x11SQ\0\0" + length + b"\xfe\xff\0\xe0\0\0\0\0" * 500_000, ExplicitVRLittleEndian)


def test_the_longest_list_that_is_taken_is_read() -> None:
    """The budget of elements is above what fits into the budget of bytes."""
    data = encoded(request([f"1.2.{number}" for number in range(26_000)]))
    assert len(data) < Limits().memory_bytes
    assert len(read_request(data, ExplicitVRLittleEndian).instances) == 26_000


def test_the_receiver_survives_what_it_cannot_read(node: Receiving) -> None:
    opening = b"\x08\0\x15\x11SQ\0\0\xff\xff\xff\xff" + b"\xfe\xff\0\xe0\xff\xff\xff\xff"
    assert exchange(node.port, action(), opening * 200_000) == ServiceStatus.PROCESSING_FAILURE
    association = associate(node)
    assert ask(association, request(["1.2.1"])) == 0
    association.release()
