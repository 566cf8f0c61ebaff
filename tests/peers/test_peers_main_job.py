"""The main job: a CT series from DCMTK's storescu through the node to Orthanc, and the enhanced one beside it."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from pydicom import dcmread
from support.mainflow import (
    ANNOUNCED,
    destination,
    download,
    enhancing,
    metric,
    send,
    series_uid,
    shown,
    site,
    sop_uids,
    wait_sent,
)
from support.nodeproc import Node
from support.peers import Orthanc
from support.proxy import RecordingProxy
from support.series import make_ct_series, noise_sd

pytestmark = pytest.mark.peers

SLICES = 8
NOISE = {"passthrough": (1.0, 1.0), "ct-denoise": (0.1, 0.8)}
"""Standard deviation in the uniform region behind the pipeline, as a share of the source's: from, to."""


@dataclass
class Job:
    pipeline: str
    node: Node
    site: str
    proxy: RecordingProxy
    orthanc: Orthanc
    sources: list[Path]

    def derived(self, folder: Path) -> list[Path]:
        (series,) = self.orthanc.series()
        return download(self.orthanc, series, folder)


@pytest.fixture(scope="module", params=list(NOISE))
def job(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Job]:
    """The series went through once."""
    root = tmp_path_factory.mktemp("job")
    sources = make_ct_series(root / "ct", SLICES, rows=512, noise=25.0, images_in_acquisition=True)
    with Orthanc(root / "orthanc") as orthanc, RecordingProxy(orthanc.dicom_port) as proxy:
        document = site([destination("pacs", orthanc.ae_title, proxy.port)], [enhancing(request.param)])
        with Node(root / "node", site_yaml=document, completion=ANNOUNCED) as node:
            send(node, sources)
            wait_sent(node, 1)
            yield Job(request.param, node, document, proxy, orthanc, sources)


def test_each_source_has_one_derived_instance_in_the_same_study(job: Job, tmp_path: Path) -> None:
    derived = [dcmread(path) for path in job.derived(tmp_path)]
    sources = [dcmread(path) for path in job.sources]
    assert [one.SourceImageSequence[0].ReferencedSOPInstanceUID for one in derived] == sop_uids(job.sources)
    assert {one.StudyInstanceUID for one in derived} == {sources[0].StudyInstanceUID}
    assert job.orthanc.studies() == [sources[0].StudyInstanceUID]
    assert job.orthanc.instance_count() == SLICES
    assert {one.SeriesInstanceUID for one in derived}.isdisjoint(one.SeriesInstanceUID for one in sources)
    assert {one.SOPInstanceUID for one in derived}.isdisjoint(one.SOPInstanceUID for one in sources)


def test_noise_in_a_uniform_region(job: Job, tmp_path: Path) -> None:
    least, most = NOISE[job.pipeline]
    for source, derived in zip(job.sources, job.derived(tmp_path), strict=True):
        ratio = noise_sd(dcmread(derived)) / noise_sd(dcmread(source))
        assert least <= ratio <= most


def test_the_story_is_told_and_sealed(job: Job) -> None:
    document = shown(job.node, series_uid(job.sources[0]))
    story = [event["kind"] for event in document["story"]]
    steps = ["series.complete", "rule.decided", "enhancement.done", "delivery.created", "delivery.sent"]
    assert [kind for kind in story if kind in steps] == steps
    assert document["reason"] == "all 8 images the modality announced have arrived"
    assert job.node.cli("audit", "verify")["ok"]


def test_sent_again_changes_nothing(job: Job) -> None:
    before = len(job.proxy.stores), job.orthanc.statistics()
    indexed = metric(job.node, "dicomnode_indexed_total", outcome="duplicate")
    send(job.node, job.sources)
    job.node.wait_until(
        lambda: metric(job.node, "dicomnode_indexed_total", outcome="duplicate") == indexed + SLICES, 60.0, "the index"
    )
    job.node.wait_until(lambda: metric(job.node, "dicomnode_associations") == 0, 60.0, "the association's end")
    document = shown(job.node, series_uid(job.sources[0]))
    assert (document["state"], document["generation"], document["instances"]) == ("complete", 1, SLICES)
    assert (document["versions"], len(document["deliveries"])) == ([], 1)
    assert (len(job.proxy.stores), job.orthanc.statistics()) == before
    job.proxy.assert_no_violations()


def test_sent_again_to_an_emptied_node_gives_the_same_uids(job: Job, tmp_path: Path) -> None:
    held = sop_uids(job.derived(tmp_path))
    job.node.terminate()
    shutil.rmtree(job.node.root / "var")
    job.node.start()
    job.node.import_site(job.site)
    seen = len(job.proxy.stores)
    send(job.node, job.sources)
    wait_sent(job.node, 1)
    assert sorted(store.sop_instance_uid for store in job.proxy.stores[seen:]) == sorted(held)
    assert job.orthanc.instance_count() == SLICES
    assert sop_uids(job.derived(tmp_path)) == held
