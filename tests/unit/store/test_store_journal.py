import re
import threading
from pathlib import Path

import pytest
from support.rawfiles import RawFile, sample

from dicomnode.domain.instance import Location
from dicomnode.store.errors import StoreFailed, StoreFull
from dicomnode.store.journal import Journal
from dicomnode.store.members import EventMember, InstanceMember, members
from dicomnode.store.reading import containers


@pytest.fixture(scope="module")
def file() -> RawFile:
    return sample("MR_small.dcm")


def append(journal: Journal, file: RawFile, series: str = "1.2.3", number: int = 0) -> Location:
    return journal.append(file.receipt(series_uid=series, sop_instance_uid=f"1.2.{number}"), file.data_set)


def open_files() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def instances(root: Path) -> list[InstanceMember]:
    found = [member for container in containers(root) for member in members(root, container.name)]
    assert all(isinstance(member, InstanceMember) for member in found)
    return [member for member in found if isinstance(member, InstanceMember)]


def test_containers_are_named_for_their_writer(tmp_path: Path, file: RawFile) -> None:
    journal = Journal(tmp_path, "node-1/../x", "receiver 0")
    location = append(journal, file)
    journal.close()
    form = rf"containers/node_1____x-receiver_0-{journal.boot}-000001\.tar"
    assert re.fullmatch(form, location.container)
    assert (tmp_path / "containers").stat().st_mode & 0o777 == 0o700


def test_every_journal_has_containers_of_its_own(tmp_path: Path, file: RawFile) -> None:
    first, second = Journal(tmp_path, "n", "p"), Journal(tmp_path, "n", "p")
    assert append(first, file).container != append(second, file).container
    first.close()
    second.close()
    assert len(containers(tmp_path)) == 2


def test_a_series_stays_in_one_container(tmp_path: Path, file: RawFile) -> None:
    journal = Journal(tmp_path, "n", "p")
    names = {(series, append(journal, file, series, n).container) for n in range(4) for series in ("1.1", "1.2")}
    journal.close()
    assert len(names) == 2


def test_a_full_container_is_followed_by_a_new_one(tmp_path: Path, file: RawFile) -> None:
    journal = Journal(tmp_path, "n", "p", max_container_bytes=2 * len(file.data_set))
    names = [append(journal, file, number=n).container for n in range(6)]
    journal.close()
    assert len(set(names)) == 3
    assert len(instances(tmp_path)) == 6


def test_a_large_instance_gets_a_container_of_its_own(tmp_path: Path, file: RawFile) -> None:
    journal = Journal(tmp_path, "n", "p", own_container_bytes=len(file.data_set))
    names = [append(journal, file, number=n).container for n in range(3)]
    journal.close()
    assert len(set(names)) == 3


def test_only_so_many_files_are_open(tmp_path: Path, file: RawFile) -> None:
    journal = Journal(tmp_path, "n", "p", max_open=4)
    before = open_files()
    for number in range(20):
        append(journal, file, f"1.{number}", number)
    assert open_files() <= before + 4
    append(journal, file, "1.19", 20)
    append(journal, file, "1.0", 21)
    journal.close()
    assert open_files() == before
    assert len(instances(tmp_path)) == 22
    assert len(containers(tmp_path)) == 21, "the recently used one was still open, the oldest was not"


def test_idle_containers_are_closed(tmp_path: Path, file: RawFile) -> None:
    journal = Journal(tmp_path, "n", "p", idle_seconds=0.0)
    before = open_files()
    append(journal, file, "1.1")
    journal.close_idle()
    assert open_files() == before
    append(journal, file, "1.1")
    journal.close()
    assert len(containers(tmp_path)) == 2


def test_many_threads_and_series(tmp_path: Path, file: RawFile) -> None:
    journal = Journal(tmp_path, "n", "p", max_open=3, max_container_bytes=8 * len(file.data_set))
    locations: list[Location] = []

    def work(worker: int) -> None:
        locations.extend(append(journal, file, f"1.{n % 5}", worker * 1000 + n) for n in range(30))

    threads = [threading.Thread(target=work, args=(worker,)) for worker in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    journal.close()
    found = instances(tmp_path)
    assert sorted(locations) == sorted(member.location for member in found)
    assert len({member.receipt.sop_instance_uid for member in found}) == 180


def test_the_low_water_mark_is_kept(tmp_path: Path, file: RawFile) -> None:
    journal = Journal(tmp_path, "n", "p", min_free_gb=1e9)
    with pytest.raises(StoreFull, match="low-water mark"):
        append(journal, file)
    journal.close()
    assert containers(tmp_path) == []


def test_events_are_read_back(tmp_path: Path) -> None:
    journal = Journal(tmp_path, "n", "p")
    journal.note({"event": "association-opened", "calling_aet": "MODALITÄT"})
    journal.note({"event": "association-closed", "received": 3}, sync=True)
    (container,) = containers(tmp_path)
    found = [m.event for m in members(tmp_path, container.name) if isinstance(m, EventMember)]
    journal.close()
    assert found == [
        {"event": "association-opened", "calling_aet": "MODALITÄT"},
        {"event": "association-closed", "received": 3},
    ]


def test_it_goes_on_when_the_folder_is_back(tmp_path: Path, file: RawFile) -> None:
    journal = Journal(tmp_path, "n", "p")
    (tmp_path / "containers").rmdir()
    with pytest.raises(StoreFailed, match="No such file"):
        append(journal, file)
    (tmp_path / "containers").mkdir()
    append(journal, file)
    journal.close()
    assert len(instances(tmp_path)) == 1
