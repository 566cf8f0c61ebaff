"""The demo's node: `dicomnode serve` as anyone runs it, on free loopback ports and a folder of its own."""

import json
import subprocess
from pathlib import Path

from dicomnode.cli.common import fail
from dicomnode.cli.demo.pacs import Pacs
from dicomnode.cli.process import LOOPBACK, Child, clean_environment, free_ports, is_ready, python
from dicomnode.db.database import Database

AE_TITLE = "DICOMNODE"
RULE = "low dose chest CT"
ORIGINALS = "originals to the archive"
_START_SECONDS = 90.0

_SETTINGS = """\
# A demonstration's node. Relative paths are relative to this file.
[node]
name = "demo"
[dicom]
ae_title = "{ae_title}"
port = {dicom_port}
[database]
url = "sqlite:///dicomnode.db"
[store]
root = "store"
min_free_gb = 0.2
[web]
port = {web_port}
"""

_SITE = """\
# Where series go, and what happens to them. Import another version with `dicomnode site import`.
destinations:
  - {{name: pacs, kind: dimse, ae_title: {ae_title}, host: {host}, port: {port}}}
rules:
  - name: {rule}
    state: live
    when:
      all:
        - {{attribute: Modality, equals: CT}}
        - {{attribute: SeriesDescription, contains: low dose}}
        - {{attribute: SliceThickness, le: 5, every: true}}
        - {{fact: orientation, equals: axial}}
        - {{fact: instance_count, ge: 3}}
    enhance: {{pipeline: {pipeline}}}
    deliver_to: [pacs]
  - name: {originals}
    state: live
    when: {{all: [{{attribute: Modality, equals: CT}}]}}
    forward_original_to: [pacs]
"""


class DemoNode:
    """A running node with its site data in force. Raises CommandFailed where it does not come up."""

    def __init__(self, folder: Path, lock: int, pacs: Pacs, pipeline: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.config, self.site, self._folder = folder / "dicomnode.toml", folder / "site.yaml", folder
        self.port, self._web = free_ports(2)
        settings = _SETTINGS.format(ae_title=AE_TITLE, dicom_port=self.port, web_port=self._web)
        self.config.write_text(settings, encoding="utf-8")
        self.site.write_text(site_document(pacs.ae_title, pacs.port, pipeline), encoding="utf-8")
        command = python("-m", "dicomnode", "serve", "--config", self.config)
        self.child = Child("the node", command, folder / "node.log", lock)
        try:
            self.child.wait_until(self._ready, _START_SECONDS, "the node to be ready")
            self._import_site()
        except BaseException:
            self.child.stop()
            raise

    @property
    def pid(self) -> int:
        return self.child.pid

    @property
    def url(self) -> str:
        return f"http://{LOOPBACK}:{self._web}/"

    def database(self) -> Database:
        """The node's database, to read what it did."""
        return Database(f"sqlite:///{self._folder / 'dicomnode.db'}")

    def stop(self) -> None:
        self.child.stop()

    def _ready(self) -> bool:
        return is_ready(self._web)

    def _import_site(self) -> None:
        command = python("-m", "dicomnode", "site", "import", self.site, "--config", self.config, "--json")
        done = subprocess.run(command, env=clean_environment(), capture_output=True, text=True, check=False)
        if done.returncode != 0:
            fail(done.stderr.strip().removeprefix("dicomnode: ") or "the site data were not imported")


def site_document(ae_title: str, port: int, pipeline: str) -> str:
    """The demo's destinations and rules, in the words of `config/site.example.yaml`."""
    return _SITE.format(
        ae_title=ae_title,
        host=LOOPBACK,
        port=port,
        pipeline=json.dumps(pipeline),
        rule=RULE,
        originals=ORIGINALS,
    )
