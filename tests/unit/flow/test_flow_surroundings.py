"""What the doctor says of a node's surroundings: each thing wrong is one finding, with its way out."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest
from support.peers import free_port

from dicomnode.db import migrate
from dicomnode.db.database import Database
from dicomnode.db.repositories import holds, nodes
from dicomnode.db.repositories import site as site_rows
from dicomnode.domain.finding import Finding, Severity
from dicomnode.enhance.api import PipelineParams
from dicomnode.enhance.registry import Registry
from dicomnode.flow import Flow
from dicomnode.flow.upkeep.surroundings import folder, surroundings
from dicomnode.route.site_document import read_site
from dicomnode.settings import DicomSettings, EngineSettings, Settings, StoreSettings
from dicomnode.store import disk_check

FAR = 1e9


def found(store: StoreSettings) -> dict[str, Severity]:
    return {each.kind: each.severity for each in folder(store)}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "store").mkdir(mode=0o700)
    return tmp_path / "store"


def test_a_folder_as_it_should_be(root: Path) -> None:
    assert found(StoreSettings(root=root, min_free_gb=0)) in ({}, {"folder.file_system": Severity.WARNING})


def test_a_folder_that_is_not_there_or_open_to_others(root: Path) -> None:
    assert found(StoreSettings(root=root / "nowhere")) == {"folder.absent": Severity.ERROR}
    root.chmod(0o755)
    assert found(StoreSettings(root=root, min_free_gb=0))["folder.open"] is Severity.WARNING


def test_too_little_room(root: Path) -> None:
    free = disk_check.free_bytes(root) / (1 << 30)
    assert found(StoreSettings(root=root, min_free_gb=FAR))["folder.full"] is Severity.ERROR
    assert found(StoreSettings(root=root, min_free_gb=free * 0.75))["folder.filling"] is Severity.WARNING


def test_a_file_system_of_the_kernel_is_named() -> None:
    assert disk_check.file_system(Path("/proc")) == "proc"


def test_the_innermost_mount_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inner = tmp_path / "with blank"
    inner.mkdir()
    mounts = tmp_path / "mountinfo"
    escaped = str(inner).replace(" ", "\\040")
    mounts.write_text(
        "21 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n"
        f"22 21 0:5 / {escaped} rw master:2 - nfs4 server:/x rw\n"
    )
    monkeypatch.setattr(disk_check, "MOUNTS", mounts)
    assert disk_check.file_system(inner) == "nfs4"
    assert disk_check.file_system(tmp_path) == "ext4"


def flow(root: Path, **sections: object) -> Flow:
    settings = Settings(store=StoreSettings(root=root, min_free_gb=0), **sections)  # type: ignore[arg-type]
    made = Flow(Database(f"sqlite:///{root.parent}/node.db"), settings, Registry.load([root.parent / "pipelines"]))
    migrate.upgrade(made.database)
    return made


def errors(flow: Flow, *, running: bool = False, peers: bool = False) -> list[Finding]:
    findings = surroundings(flow, running=running, peers=peers)
    return [each for each in findings if each.open]


def test_a_node_that_does_not_answer(root: Path) -> None:
    made = flow(root, dicom=DicomSettings(port=free_port()))
    assert errors(made) == []
    (finding,) = errors(made, running=True)
    assert (finding.kind, finding.subject) == ("port", f"port:{made.settings.dicom.port}")


def test_what_operators_stopped_is_not_forgotten(root: Path) -> None:
    made = flow(root)
    with made.database.write() as session:
        holds.hold(session, holds.JOBS, "ct-denoise", "anna", "")
        holds.hold(session, holds.ENHANCING, "", "anna", "ghosts in the liver")
        holds.hold(session, holds.DESTINATION, "pacs", "anna", "")
    findings = {each.subject: each for each in surroundings(made, running=False) if each.kind == "held"}
    assert findings.keys() == {"jobs:ct-denoise", "enhancing", "destination:pacs"}
    assert {each.severity for each in findings.values()} == {Severity.WARNING}
    assert "by anna since" in findings["enhancing"].message
    assert "(ghosts in the liver)" in findings["enhancing"].message
    assert findings["destination:pacs"].way_out == "`dicomnode destinations resume pacs`"


def test_a_node_that_fell_silent_is_told(root: Path) -> None:
    made = flow(root)
    with made.database.write() as session:
        for name in ("renamed", "lives"):
            nodes.add(session, name)
        nodes.enter(session, "lives", "b", "1", "s")
        assert nodes.take(session, "renamed", "lives", 30.0)
    (finding,) = [each for each in surroundings(made, running=False) if each.kind == "node.silent"]
    assert (finding.subject, finding.severity) == ("node:renamed", Severity.INFO)
    assert "lives looks after what it left" in finding.message


def with_site(made: Flow, text: str, pipelines: Mapping[str, type[PipelineParams]]) -> Flow:
    with made.database.write() as session:
        site_rows.add(session, read_site(text, pipelines).to_document(), "test", "", datetime.now(UTC))
    return made


def gone() -> str:
    return f"{{name: gone, kind: dimse, ae_title: GONE, host: 127.0.0.1, port: {free_port()}}}"


def test_a_destination_that_does_not_answer(root: Path) -> None:
    made = with_site(flow(root), f"destinations:\n  - {gone()}\nrules: []\n", {})
    assert errors(made) == []
    (finding,) = errors(made, peers=True)
    assert (finding.kind, finding.subject) == ("destination", "destination:gone")


def test_a_live_rule_whose_pipeline_is_gone(root: Path) -> None:
    rule = "{name: soft, state: live, when: {all: []}, enhance: {pipeline: lost}, deliver_to: [gone]}"
    text = f"destinations:\n  - {gone()}\nrules:\n  - {rule}\n"
    made = with_site(flow(root), text, {"lost": PipelineParams})
    (finding,) = errors(made)
    assert (finding.kind, finding.subject) == ("rule.pipeline", "rule:soft")


def test_a_broken_pipeline_is_advice(root: Path) -> None:
    (root.parent / "pipelines").mkdir()
    (root.parent / "pipelines" / "broken.py").write_text(
        "import nothing_of_that_name\nfrom dicomnode.enhance.api import Pipeline\n\nclass Own(Pipeline): ...\n"
    )
    found = [each for each in surroundings(flow(root), running=False) if each.kind == "pipeline.broken"]
    assert [each.severity for each in found] == [Severity.WARNING]
    assert "nothing_of_that_name" in found[0].message


@pytest.mark.torch
def test_a_device_that_is_not_there(root: Path) -> None:
    (finding,) = errors(flow(root, engine=EngineSettings(devices=("cpu", "cuda:77"))))
    assert (finding.kind, finding.subject) == ("device", "device:cuda:77")
