"""What the end-to-end tests tell a node and ask of it: site data in, figures and series out."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import httpx
from prometheus_client.parser import text_string_to_metric_families
from pydicom import Dataset, dcmread
from sqlalchemy.orm import Session
from support.nodeproc import Node
from support.peers import Orthanc, storescu
from support.rawfiles import raw_file
from support.rawsend import RawSender

from dicomnode.db.database import Database
from dicomnode.db.repositories import series as series_rows
from dicomnode.domain.states import DELIVERED
from dicomnode.settings import load_settings

SOFTEN = Path(__file__).with_name("soften.py")
"""An administrator's own pipeline, named `soften`; see `add_pipeline`."""

IS_CT = {"attribute": "Modality", "equals": "CT"}
IS_ANYTHING = {"attribute": "Modality", "exists": True}

ANNOUNCED = {"quiet_seconds": 120.0, "grace_seconds": 0.1}
"""Completion for series that announce their images (`images_in_acquisition`): when all are there, and no sooner.

By quiet time, a sender or a machine that pauses in the middle of a series makes two generations of it.
"""

Document = Mapping[str, Any]


def destination(name: str, ae_title: str, port: int) -> dict[str, Any]:
    """A destination on this machine."""
    return {"name": name, "kind": "dimse", "ae_title": ae_title, "host": "127.0.0.1", "port": port}


def enhancing(pipeline: str, *deliver_to: str, when: Document = IS_CT, **more: Any) -> dict[str, Any]:
    """A live rule, named as its pipeline, that enhances and delivers to `pacs` unless told otherwise."""
    enhance = {"pipeline": pipeline}
    rule = {"name": pipeline, "state": "live", "when": dict(when), "enhance": enhance}
    return {**rule, "deliver_to": list(deliver_to or ("pacs",)), **more}


def site(destinations: Iterable[Document], rules: Iterable[Document]) -> str:
    """The site document; JSON is YAML."""
    return json.dumps({"destinations": list(destinations), "rules": list(rules)})


def add_pipeline(node: Node, file: Path = SOFTEN) -> None:
    """Put a pipeline file into the folder that the node's settings name. Before its start."""
    folder = node.root / str(node.settings["pipelines"]["path"])
    folder.mkdir(exist_ok=True)
    (folder / file.name).write_bytes(file.read_bytes())


def send(node: Node, files: Iterable[Path], calling: str = "MODALITY") -> None:
    """Send uncompressed files by DCMTK's storescu over one association; every instance must be acknowledged."""
    done = storescu(files, node.dicom_port, node.ae_title, calling)
    assert done.returncode == 0, done.stderr


def send_as_is(node: Node, files: Iterable[Path], calling: str = "MODALITY") -> None:
    """Send files in their own transfer syntaxes, their data sets byte by byte."""
    with RawSender("127.0.0.1", node.dicom_port, node.ae_title, calling) as sender:
        for raw in map(raw_file, files):
            assert sender.store(raw.sop_class, raw.sop_uid, raw.transfer_syntax, raw.data_set) == 0, raw.path.name


def metric(node: Node, name: str, **labels: str) -> float:
    """Sum of a metric's samples that carry these labels, from `/metrics`."""
    text = httpx.get(f"{node.url}/metrics", timeout=60.0, trust_env=False).raise_for_status().text
    samples = (sample for family in text_string_to_metric_families(text) for sample in family.samples)
    return sum(one.value for one in samples if one.name == name and labels.items() <= one.labels.items())


def wait_sent(node: Node, count: int, destination: str = "pacs", seconds: float = 120.0) -> None:
    """Wait until that many deliveries to the destination are sent, confirmed or not, since the database began."""

    def sent() -> bool:
        taken = (metric(node, "dicomnode_deliveries", destination=destination, state=state) for state in DELIVERED)
        return sum(taken) >= count

    node.wait_until(sent, seconds, f"{count} deliveries sent to {destination}")


def wait_complete(node: Node, uid: str, generation: int = 1, seconds: float = 60.0) -> None:
    """Wait until this generation of a series is complete."""
    node.wait_until(
        lambda: progress(node, uid) == ("complete", generation), seconds, f"generation {generation} of {uid}"
    )


def progress(node: Node, uid: str) -> tuple[str, int]:
    """State and newest generation of a series, straight from the database: quick enough to be asked often."""
    database = Database(load_settings(node.config).database.url)
    with database.read() as session:
        row = series_rows.find(session, uid)
    database.close()
    return (row.state, row.generation) if row else ("", 0)


@contextmanager
def rewriting(node: Node) -> Iterator[Session]:
    """A transaction on the node's database, for what only the course of time would change."""
    database = Database(load_settings(node.config).database.url)
    try:
        with database.write() as session:
            yield session
    finally:
        database.close()


def series_uid(file: Path) -> str:
    """Series Instance UID of a file."""
    return str(dcmread(file, stop_before_pixels=True).SeriesInstanceUID)


def sop_uids(files: Iterable[Path]) -> list[str]:
    """SOP Instance UIDs of files, in their order."""
    return [str(dcmread(file, stop_before_pixels=True).SOPInstanceUID) for file in files]


def shown(node: Node, uid: str) -> dict[str, Any]:
    """`series show UID`, once the index knows the series: what is acknowledged is indexed a moment later."""
    known = partial(node.cli, "series", "show", uid, check=False)
    node.wait_until(lambda: known().returncode == 0, 60.0, f"series {uid} to be indexed")
    return dict(node.cli("series", "show", uid))


def download(orthanc: Orthanc, uid: str, folder: Path) -> list[Path]:
    """The files of a series that Orthanc holds, in the order of their instance numbers."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for sop_uid, content in orthanc.download_series(uid).items():
        paths.append(path := folder / f"{sop_uid}.dcm")
        path.write_bytes(content)
    return sorted(paths, key=lambda path: int(dcmread(path, stop_before_pixels=True).InstanceNumber or 0))


def derived_of(orthanc: Orthanc, sources: Sequence[Path], folder: Path) -> list[Path]:
    """The derived files of one source series that Orthanc holds, one for each source and in their order."""
    first = dcmread(sources[0], stop_before_pixels=True)
    for uid in orthanc.series(str(first.StudyInstanceUID)):
        paths = download(orthanc, uid, folder)
        references = dcmread(paths[0]).get("ReferencedSeriesSequence") or [Dataset()]
        if references[0].get("SeriesInstanceUID") == first.SeriesInstanceUID:
            assert len(paths) == len(sources)
            return paths
    raise AssertionError(f"Orthanc holds nothing derived from {sources[0].name}")


def held_of(orthanc: Orthanc, study_uid: str) -> set[str]:
    """SOP Instance UIDs that Orthanc holds of a study."""
    return {uid for series in orthanc.series(study_uid) for uid in orthanc.sop_uids(series)}
