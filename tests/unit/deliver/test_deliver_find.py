"""C-FIND at image level: lists, parts of lists, and refusals."""

import pytest
from pydicom import Dataset, dcmread
from pydicom.data import get_testdata_file
from support.archive import Archive
from support.peers import free_port

from dicomnode.deliver.destination import Destination, Timeouts
from dicomnode.deliver.find import UIDS_PER_QUERY, FindFailed, find_instances
from dicomnode.deliver.outcome import AssociationFailed

PATIENT = Timeouts(connect=60.0, acse=60.0, dimse=60.0)
STUDY, SERIES = "1.2.10", "1.2.10.1"


def instance(uid: str, series: str = SERIES) -> Dataset:
    dataset = Dataset()
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID, dataset.SOPInstanceUID = STUDY, series, uid
    return dataset


def found(archive: Archive, *sop_uids: str) -> set[str]:
    destination = Destination("pacs", "ARCHIVE", "127.0.0.1", archive.port)
    return find_instances(destination, "NODE", STUDY, SERIES, sop_uids, timeouts=PATIENT)


def test_a_series_is_listed_and_nothing_else() -> None:
    with Archive() as archive:
        archive.keep([instance("1.2.3"), instance("1.2.4"), instance("1.2.5", "1.2.10.2")])
        assert found(archive) == {"1.2.3", "1.2.4"}
    (query,) = archive.queries
    assert (query.QueryRetrieveLevel, query.StudyInstanceUID, query.SeriesInstanceUID) == ("IMAGE", STUDY, SERIES)


def test_a_long_list_is_asked_for_in_parts() -> None:
    listed = [f"1.2.3.{number}" for number in range(3 * UIDS_PER_QUERY + 1)]
    with Archive() as archive:
        archive.keep(map(instance, listed[::2]))
        assert found(archive, *listed) == set(listed[::2])
    assert len(archive.queries) == 4


def test_a_peer_that_names_too_much_is_not_believed_more_than_was_asked() -> None:
    with Archive() as archive:
        archive.keep([instance("1.2.3"), instance("1.2.4")])
        archive.matches_lists = False
        assert found(archive, "1.2.4", "1.2.5") == {"1.2.4"}


def test_nothing_is_a_list_too() -> None:
    with Archive() as archive:
        assert found(archive) == set()


@pytest.mark.parametrize(
    ("status", "transient", "words"),
    [
        (0xA700, True, "A700: it is out of resources"),
        (0xA900, False, "A900: the query is not what its SOP class demands"),
        (0xC123, True, "C123: it is unable to process it"),
        (0x0122, False, "0122: it does not take this SOP class"),
        (0x0124, False, "0124: this node may not query it"),
    ],
)
def test_a_failure_is_no_list(status: int, transient: bool, words: str) -> None:
    with Archive(find=status) as archive, pytest.raises(FindFailed, match=words) as caught:
        found(archive)
    assert (caught.value.status, caught.value.transient) == (status, transient)


def test_who_takes_no_queries_says_so() -> None:
    with Archive(finds=False) as archive, pytest.raises(AssociationFailed, match="does not take Study Root") as caught:
        found(archive)
    assert not caught.value.transient


def test_who_is_away_may_come_back() -> None:
    nowhere = Destination("pacs", "ARCHIVE", "127.0.0.1", free_port())
    with pytest.raises(AssociationFailed) as caught:
        find_instances(nowhere, "NODE", STUDY, SERIES, timeouts=PATIENT)
    assert caught.value.transient


def test_a_real_instance_is_found() -> None:
    dataset = dcmread(get_testdata_file("CT_small.dcm", download=False), stop_before_pixels=True)
    with Archive() as archive:
        archive.keep([dataset])
        destination = Destination("pacs", "ARCHIVE", "127.0.0.1", archive.port)
        where = str(dataset.StudyInstanceUID), str(dataset.SeriesInstanceUID)
        assert find_instances(destination, "NODE", *where, timeouts=PATIENT) == {str(dataset.SOPInstanceUID)}
