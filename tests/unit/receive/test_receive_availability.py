"""Instance Availability Notifications as they come: pynetdicom as SCU, and what no library would send."""

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.uid import CTImageStorage, ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import AE
from pynetdicom.association import Association
from pynetdicom.sop_class import InstanceAvailabilityNotification
from support.commitment import notification
from support.normalized import create, encoded, exchange, response
from support.receiving import Receiving, receiving

from dicomnode.domain.availability import AVAILABILITY_NOTIFICATION, read_notification
from dicomnode.domain.data_set import UnreadableDataSet
from dicomnode.receive.service_statuses import ServiceStatus

SYNTAXES = [ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian]
TWO = {"1.2.1": ["1.2.1.1", "1.2.1.2"], "1.2.2": ["1.2.2.1"]}


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Receiving]:
    with receiving(tmp_path_factory.mktemp("store"), echo_only_aets=["WATCH"]) as node:
        yield node


def associate(node: Receiving, syntaxes: list[Any] = SYNTAXES, calling: str = "PACS") -> Association:
    entity = AE(ae_title=calling)
    entity.add_requested_context(InstanceAvailabilityNotification, syntaxes)
    return entity.associate("127.0.0.1", node.port, ae_title="DICOMNODE")


@pytest.mark.parametrize("syntax", SYNTAXES)
@pytest.mark.parametrize("named", ["1.2.77", None])
def test_a_notification_is_kept_and_answered(node: Receiving, syntax: Any, named: str | None) -> None:
    association = associate(node, [syntax])
    content = notification("1.2", TWO, unavailable=["1.2.1.2"])
    status, _ = association.send_n_create(content, InstanceAvailabilityNotification, named)
    association.release()
    assert status.Status == 0
    note = node.events("availability")[-1]
    assert note["available"] == [["1.2.1", "1.2.1.1"], ["1.2.2", "1.2.2.1"]]
    assert note["unavailable"] == [["1.2.1", "1.2.1.2"]]
    assert (note["study_uid"], note["calling_aet"]) == ("1.2", "PACS")
    assert note["sop_instance_uid"] == named or note["sop_instance_uid"].startswith("2.25.")


def test_who_names_no_instance_is_told_its_name(node: Receiving) -> None:
    answer = response(node.port, create(AVAILABILITY_NOTIFICATION), GOOD, sop_class=AVAILABILITY_NOTIFICATION)
    assert answer[0x1000].rstrip(b"\0").decode() == node.events("availability")[-1]["sop_instance_uid"]


def test_who_may_only_echo_is_refused(node: Receiving) -> None:
    association = associate(node, calling="WATCH")
    assert [context.result for context in association.rejected_contexts] == [0x03]
    association.release()


GOOD = encoded(notification("1.2", TWO))
PROVOKED = {
    "success": (ServiceStatus.SUCCESS, create(AVAILABILITY_NOTIFICATION, "1.2.3"), GOOD),
    "noise": (ServiceStatus.PROCESSING_FAILURE, create(AVAILABILITY_NOTIFICATION), b"noise, and no data set"),
    "nothing listed": (
        ServiceStatus.INVALID_ARGUMENT_VALUE,
        create(AVAILABILITY_NOTIFICATION),
        encoded(notification("1.2", {})),
    ),
    "a series without UID": (
        ServiceStatus.INVALID_ARGUMENT_VALUE,
        create(AVAILABILITY_NOTIFICATION),
        encoded(notification("1.2", {"": ["1.2.3"]})),
    ),
    "no UID": (ServiceStatus.INVALID_SOP_INSTANCE, create(AVAILABILITY_NOTIFICATION, "1.2.x"), GOOD),
    "another class": (ServiceStatus.NO_SUCH_SOP_CLASS, create(str(CTImageStorage)), GOOD),
    "N-SET": (ServiceStatus.UNRECOGNIZED_OPERATION, create(AVAILABILITY_NOTIFICATION, field=0x0120), GOOD),
    "too long": (ServiceStatus.RESOURCE_LIMITATION, create(AVAILABILITY_NOTIFICATION), GOOD + bytes(5 << 20)),
}


@pytest.mark.parametrize("case", PROVOKED)
def test_each_status_is_provoked(node: Receiving, case: str) -> None:
    status, command, data = PROVOKED[case]
    before = len(node.events("availability"))
    assert exchange(node.port, command, data, sop_class=AVAILABILITY_NOTIFICATION) == status
    assert len(node.events("availability")) - before == (status == 0)


@given(st.integers(0, 10**6), st.integers(0, 255), st.booleans())
def test_a_damaged_notification_is_unreadable_or_read(position: int, value: int, cut: bool) -> None:
    data = bytearray(GOOD)
    position %= len(data)
    data[position] = value
    try:
        found = read_notification(bytes(data[:position] if cut else data), ExplicitVRLittleEndian)
    except UnreadableDataSet:
        return
    assert len(found.available) + len(found.unavailable) <= 3
