"""A house whose work can be held up at will: a pipeline behind a gate, an Orthanc, and what to ask of both."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from pydicom import dcmread
from sqlalchemy import update
from support.mainflow import (
    ANNOUNCED,
    IS_CT,
    destination,
    enhancing,
    held_of,
    rewriting,
    send,
    series_uid,
    shown,
    site,
    sop_uids,
)
from support.nodeproc import Node
from support.peers import Orthanc
from support.rawfiles import raw_file
from support.series import make_ct_series

from dicomnode.db.models import Enhancement

SLICES = 2

PIPELINE = """
import time
from pathlib import Path

from dicomnode.enhance.api import Acceptance, Pipeline

HERE = Path({here!r})


class {cls}(Pipeline):
    name, version, title, precision = "{name}", "1.0.0", "{name}", "float32"

    def accepts(self, series):
        return Acceptance.yes()

    def enhance(self, slices, params):
        {act}
        return slices[:, 0]
"""
ACTS = {
    "gated": """(HERE / "entered").touch()
        while (HERE / "shut").exists():
            time.sleep(0.02)""",
    "flaky": """if (HERE / "broken").exists():
            raise RuntimeError("it is broken")""",
}


def rule(description: str, pipeline: str, **more: Any) -> dict[str, Any]:
    """Series of this description are enhanced by this pipeline."""
    when = {"attribute": "SeriesDescription", "equals": description}
    return enhancing(pipeline, when=when, **more) | {"name": description}


@dataclass
class Sent:
    """A series that was sent: its files, and its UIDs."""

    files: Sequence[Path]
    uid: str
    study_uid: str


class House:
    """A node and its PACS. Every CT goes on to the PACS as it is."""

    def __init__(self, node: Node, pacs: Orthanc, root: Path) -> None:
        self.node, self.pacs, self._root = node, pacs, root
        self._sent = 0
        self._gate = root / "gate"

    def warm_up(self) -> None:
        """Have a series `plain` enhanced, so that the worker is there when deadlines count."""
        self.wait_derived(self.send("plain"))

    @contextmanager
    def gate_shut(self) -> Iterator[None]:
        """Meanwhile nothing comes out of the pipeline `gated`."""
        self.open_gate()  # nobody who came while it was open is taken for one who stands before it
        (self._gate / "shut").touch()
        try:
            yield
        finally:
            self.open_gate()

    def open_gate(self) -> None:
        for name in ("shut", "entered"):
            (self._gate / name).unlink(missing_ok=True)

    def wait_entered(self) -> None:
        """Wait until a job stands before the gate."""
        self.node.wait_until((self._gate / "entered").exists, 60.0, "a job to stand before the gate")

    def break_flaky(self) -> None:
        (self._gate / "broken").touch()

    def mend_flaky(self) -> None:
        (self._gate / "broken").unlink()

    def send(self, description: str) -> Sent:
        """Send a new series."""
        self._sent += 1
        folder = self._root / f"sent-{self._sent}"
        about = {"study": folder.name, "description": description}
        files = make_ct_series(folder, SLICES, rows=32, seed=self._sent, images_in_acquisition=True, **about)
        send(self.node, files)
        return Sent(files, series_uid(files[0]), raw_file(files[0]).study_uid)

    def job(self, sent: Sent) -> dict[str, Any]:
        """The job of a series, once its rules were asked."""
        return self.node.wait_until(lambda: self._jobs(sent), 60.0, "a job")[-1]

    def _jobs(self, sent: Sent) -> list[dict[str, Any]]:
        return sorted(
            (row for row in self.node.cli("jobs", "list") if row["series_uid"] == sent.uid), key=lambda row: row["id"]
        )

    def wait_state(self, sent: Sent, state: str) -> dict[str, Any]:
        """Wait until the newest job of a series is in this state."""

        def reached() -> dict[str, Any] | None:
            rows = self._jobs(sent)
            return rows[-1] if rows and rows[-1]["state"] == state else None

        return self.node.wait_until(reached, 60.0, f"a job to be {state}")

    def pass_deadlines(self) -> None:
        """The deadline of every job is over."""
        with rewriting(self.node) as session:
            past = datetime.now(UTC) - timedelta(seconds=1)
            session.execute(update(Enhancement).where(Enhancement.deadline_at.is_not(None)).values(deadline_at=past))

    def decision(self, sent: Sent) -> dict[str, Any]:
        """What the rule of the series' description decided."""
        description = str(dcmread(sent.files[0], stop_before_pixels=True).SeriesDescription)

        def decided() -> list[dict[str, Any]]:
            return [row for row in shown(self.node, sent.uid)["decisions"] if row["rule"] == description]

        return self.node.wait_until(decided, 60.0, "a decision")[-1]

    def wait_originals(self, sent: Sent) -> None:
        """Wait until the PACS has what was sent."""
        wanted = set(sop_uids(sent.files))
        self.node.wait_until(lambda: wanted <= held_of(self.pacs, sent.study_uid), 60.0, "the originals at the PACS")

    def wait_derived(self, sent: Sent) -> str:
        """Wait until the PACS has one derived series beside the originals. Returns what it is called."""

        def whole() -> bool:
            return len(held_of(self.pacs, sent.study_uid)) == 2 * SLICES

        self.node.wait_until(whole, 60.0, "the derived series at the PACS")
        (derived,) = set(self.pacs.series(sent.study_uid)) - {sent.uid}
        return self.pacs.series_tags(derived)["SeriesDescription"]

    def assert_originals_alone(self, sent: Sent) -> None:
        """The PACS has what was sent and nothing else."""
        self.wait_originals(sent)
        assert held_of(self.pacs, sent.study_uid) == set(sop_uids(sent.files))


@contextmanager
def house(root: Path, *rules: dict[str, Any], env: dict[str, str] | None = None, **engine: Any) -> Iterator[House]:
    """A running house with these rules and settings of the engine; the head start is off, so that only jobs enhance."""
    with Orthanc(root / "pacs") as pacs:
        originals = {"name": "originals", "state": "live", "when": IS_CT, "forward_original_to": ["pacs"]}
        document = site([destination("pacs", pacs.ae_title, pacs.dicom_port)], [originals, *rules])
        settings = {"kind": "local", "devices": ["cpu"], "head_start": False, "max_attempts": 1, **engine}
        node = Node(root / "node", site_yaml=document, engine=settings, completion=ANNOUNCED, env=env)
        folder = node.root / str(node.settings["pipelines"]["path"])
        folder.mkdir(parents=True)
        (root / "gate").mkdir()
        for name, act in ACTS.items():
            text = PIPELINE.format(cls=name.title(), name=name, act=act, here=str(root / "gate"))
            (folder / f"{name}.py").write_text(text, encoding="utf-8")
        with node:
            yield House(node, pacs, root)
