"""Pipelines that cannot be used, each for a reason of its own, as a night shift finds them."""

from hashlib import sha256
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

_BEGUN = """
from dicomnode.enhance.api import Acceptance, Pipeline


class Own(Pipeline):
    name, version, title, precision = "{name}", "1.0.0", "{name}", "float32"
    weights = "{name}.safetensors"

    def accepts(self, series):
        return Acceptance.yes()

    def load(self, weights, device):
        self.gain = float(weights["gain"][0])

    def enhance(self, slices, params):
        return slices[:, 0] * self.gain
"""
_ELSEWHERE = """
from dicomnode.enhance.api import Pipeline
from networks_of_the_ward import Network


class Sharpen(Pipeline):
    name, version, title, precision = "sharpen", "0.3.0", "sharpening", "float32"
"""
_CARD = """
limits = ["Tests only."]
[model]
name = "{name}"
version = "1.0.0"
title = "{name}"
intended_use = "tests"
not_for = "patients"
licence = "Apache-2.0"
[weights]
file = "{name}.safetensors"
sha256 = "{sha256}"
parameters = 1
[golden]
seed = 1
shape = [1, 1, 8, 8]
mean = {mean}
std = 50.0
probe = [0.0]
tolerance = 1000.0
[[training_data]]
name = "x"
package = "x"
version = "x"
file = "x"
sha256 = "{sha256}"
licence = "x"
role = "x"
"""
REASONS = {
    "broken": "No module named 'networks_of_the_ward'",
    "unfinished": "unfinished.py line",
    "absent": "the weights absent.safetensors are missing",
    "tampered": "the weights tampered.safetensors are not those of their model card",
    "drifted": "drifted fails its golden case",
}
"""What the node says of each; of the golden case once a worker has met it."""


def write_broken(folder: Path) -> None:
    """One for each of `REASONS`, into a folder of pipelines."""
    (folder / "weights").mkdir(parents=True, exist_ok=True)
    (folder / "broken.py").write_text(_ELSEWHERE, encoding="utf-8")
    (folder / "unfinished.py").write_text(_BEGUN.format(name="unfinished").replace("yes()", "yes("), encoding="utf-8")
    for name in ("absent", "tampered", "drifted"):
        write_model(folder, name, 5000.0 if name == "drifted" else 0.0)
    (folder / "weights/absent.safetensors").unlink()
    (folder / "weights/tampered.safetensors").write_bytes(b"as somebody left it")


def write_model(folder: Path, name: str, mean: float = 0.0) -> None:
    """A pipeline with weights and a card; the golden case holds where `mean` is 0."""
    (folder / f"{name}.py").write_text(_BEGUN.format(name=name), encoding="utf-8")
    weights = folder / "weights" / f"{name}.safetensors"
    save_file({"gain": np.ones(1, np.float32)}, weights)
    write_card(weights, mean)


def write_card(weights: Path, mean: float = 0.0) -> None:
    """The model card of these weights as they are now; its golden case asks for this mean, give or take 1000."""
    digest = sha256(weights.read_bytes()).hexdigest()
    text = _CARD.format(name=weights.stem, sha256=digest, mean=mean)
    weights.with_suffix(".toml").write_text(text, encoding="utf-8")
