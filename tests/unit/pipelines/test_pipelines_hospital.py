"""Training on a hospital's copies: the same trainer, interrupted and resumed, from nothing and from earlier ends."""

import json
import shutil
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file
from safetensors.torch import load_file
from support.series import ct_slice

from dicomnode.cli.models.copies import Copy, Index
from dicomnode.enhance.api import read_limits
from pipelines.ct_denoise import CTDenoise
from pipelines.data import DataError
from pipelines.gan import hospital
from pipelines.gan.copies import read_copies
from pipelines.gan.ct_task import CTTask
from pipelines.gan.export import export
from pipelines.gan.plan import Plan
from pipelines.gan.state import State
from pipelines.gan.train import train
from pipelines.gan.warm_start import WarmState
from pipelines.simulate.crops import Batch

pytestmark = pytest.mark.torch
TINY = Plan(width=4, batch=1, crop=64, pixel_steps=3, adversarial_steps=3, checkpoint_every=1, validate_every=3)
CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def _little(monkeypatch: pytest.MonkeyPatch) -> None:
    """One thread, and the simulation of dose, which is slow, for as few slices as will do."""
    torch.set_num_threads(1)
    monkeypatch.setattr("pipelines.gan.copies.VALIDATION_SLICES", 1)
    monkeypatch.setattr("pipelines.gan.site_limits.MOST_SLICES", 1)


def write_copies(folder: Path, held_out: tuple[bool, ...], slices: int = 4) -> Path:
    """A phantom of some slices for each patient, as the node's side writes it."""
    folder.mkdir()
    copies = []
    for number, kept in enumerate(held_out, start=1):
        rng = np.random.default_rng(number)
        hu = np.stack([ct_slice(128, (z + 0.5) / slices) + rng.normal(0, 8, (128, 128)) for z in range(slices)])
        name = f"patient-{number}-volume-1.safetensors"
        save_file({"hu": hu.astype(np.int16), "spacing": np.array([3.0, 0.8, 0.8])}, folder / name)
        copies.append(Copy(name, f"patient-{number}", kept, slices, 128, (3.0, 0.8, 0.8)))
    (folder / "index.json").write_text(json.dumps(asdict(Index(4, tuple(copies), {}))))
    return folder


class Cut(CTTask):
    """The task, but the power fails at the fourth batch."""

    def __init__(self) -> None:
        self.left = 4

    def draw(self, cases: list, seed: tuple[int, ...], count: int, size: int) -> Batch:
        if not self.left:
            raise KeyboardInterrupt
        self.left -= 1
        return super().draw(cases, seed, count, size)


def test_held_out_patients_validate_and_train_nothing(tmp_path: Path) -> None:
    copies = read_copies(write_copies(tmp_path / "copies", (False, True)))
    (case,) = copies.cases(tmp_path, print)
    assert case.name == "patient-1-volume-1"
    assert case.centres == tuple(range(4))
    assert {one.name.split()[0] for one in copies.validation()} == {"patient-2-volume-1"}


def test_of_a_single_patient_slices_are_kept_from_training(tmp_path: Path) -> None:
    copies = read_copies(write_copies(tmp_path / "copies", (False,), slices=8))
    (case,) = copies.cases(tmp_path, print)
    judged = [int(one.name.split()[1]) for one in copies.validation()]
    assert judged
    seen = {z + step for z in case.centres for step in (-1, 0, 1)}
    assert not seen & set(judged)


def test_broken_copies_are_said_so(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no complete copies"):
        read_copies(tmp_path)
    with pytest.raises(DataError, match="no volume to train on"):
        read_copies(write_copies(tmp_path / "all", (True,)))
    folder = write_copies(tmp_path / "cut", (False,))
    (folder / "patient-1-volume-1.safetensors").write_bytes(b"cut")
    with pytest.raises(DataError, match="cannot be read"):
        read_copies(folder)


def test_a_killed_run_goes_on_to_the_same_weights(tmp_path: Path) -> None:
    copies = read_copies(write_copies(tmp_path / "copies", (False, True)))
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    document = hospital.run(CTTask(), TINY, copies, whole, None, CPU, quiet=True)
    shutil.copytree(whole / "ct-noise", cut / "ct-noise")
    with pytest.raises(KeyboardInterrupt):
        hospital.run(Cut(), TINY, copies, cut, None, CPU, quiet=True)
    assert not (cut / "weights.safetensors").exists()
    hospital.run(CTTask(), TINY, copies, cut, None, CPU, quiet=True)
    expected, found = load_file(whole / "weights.safetensors"), load_file(cut / "weights.safetensors")
    assert all(torch.equal(found[name], value) for name, value in expected.items())
    assert {name.split(".")[0] for name in found} == {"pixel", "adversarial"}
    assert [row["network"] for row in document["table"]] == ["input", "after"]
    assert document["parameters"] == sum(value.numel() for value in found.values())
    limits = read_limits(whole / "limits.toml")
    assert limits.features is not None
    assert limits.noise_sigma is not None
    assert not any(np.isnan(limits.noise_sigma))
    assert (whole / "curves.png").exists()


def finished(folder: Path, seed: int) -> Path:
    """Two different ends in a weights file, as a finished run exports them."""
    state = State(replace(TINY, seed=seed), CTTask.unit)
    for value in state.average.state_dict().values():
        value.add_(0.01 * torch.randn_like(value))
    state.begin_adversarial()
    for value in state.average.state_dict().values():
        value.add_(0.01 * torch.randn_like(value))
    state.step = TINY.adversarial_steps
    folder.mkdir(exist_ok=True)
    (folder / "losses.csv").write_text("stage,step\n")
    export(state, folder / "losses.csv", folder / "earlier.safetensors")
    return folder / "earlier.safetensors"


def test_a_warm_start_begins_at_both_ends(tmp_path: Path) -> None:
    weights = finished(tmp_path, seed=5)
    ends = load_file(weights)
    state = WarmState(TINY, CTTask.unit)
    state.begin(weights)
    for name, value in state.average.state_dict().items():
        assert torch.equal(value, ends[f"pixel.{name}"])
    with torch.no_grad():
        for value in state.average.state_dict().values():
            value.add_(0.5)
    state.begin_adversarial()
    for network in (state.generator, state.average):
        for name, value in network.state_dict().items():
            assert torch.allclose(value, ends[f"adversarial.{name}"] + 0.5, atol=1e-5)
    assert all(
        torch.allclose(state.pixel_end[name], ends[f"pixel.{name}"] + 0.5, atol=1e-5) for name in state.pixel_end
    )


def test_a_warm_run_that_is_killed_goes_on_to_the_same_weights(tmp_path: Path) -> None:
    copies = read_copies(write_copies(tmp_path / "copies", (False, True)))
    start, cases = finished(tmp_path, seed=5), copies.cases(tmp_path, print)
    expected = train(
        hospital.state_of(tmp_path / "whole", TINY, CTTask.unit, CPU, start), CTTask(), cases, tmp_path / "whole"
    )
    cut = tmp_path / "cut"
    with pytest.raises(KeyboardInterrupt):
        train(hospital.state_of(cut, TINY, CTTask.unit, CPU, start), Cut(), cases, cut)
    found = train(hospital.state_of(cut, TINY, CTTask.unit, CPU, start), CTTask(), cases, cut)
    for one, other in (
        (found.average.state_dict(), expected.average.state_dict()),
        (found.pixel_end, expected.pixel_end),
    ):
        assert all(torch.equal(one[name], value) for name, value in other.items())


def test_weights_of_another_network_are_no_start(tmp_path: Path) -> None:
    state = WarmState(replace(TINY, width=8), CTTask.unit)
    with pytest.raises(ValueError, match="use --from-scratch"):
        state.begin(finished(tmp_path, seed=5))


def test_a_warm_start_takes_fewer_and_smaller_steps() -> None:
    cold, warm = (hospital.plan_of(CTTask(), start, None, None) for start in (False, True))
    assert cold == CTTask.plan
    assert warm.pixel_steps < cold.pixel_steps
    assert warm.pixel_rate < cold.pixel_rate
    assert hospital.plan_of(CTTask(), True, 7, 9).pixel_steps == 7


def test_the_trainer_ends_with_the_command_that_started_it() -> None:
    code = "import time; from pipelines.gan.parent import end_with_parent; end_with_parent(); time.sleep(100)"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, cwd=Path(__file__).parents[3]) as child:
        with pytest.raises(subprocess.TimeoutExpired):
            child.wait(0.5)
        assert child.stdin
        child.stdin.close()
        assert child.wait(90) == 1, "by itself it would end after 100 s, with 0"


def test_the_trainer_can_end_before_the_command() -> None:
    code = "from pipelines.gan.parent import end_with_parent; end_with_parent(); print('done')"
    command = [sys.executable, "-c", code]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=Path(__file__).parents[3]
    ) as child:
        assert child.stdout
        assert child.stderr
        assert (child.stdout.read(), child.stderr.read(), child.wait(60)) == (b"done\n", b"", 0)


def test_errors_are_one_sentence_in_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["--copies", str(tmp_path), "--run", str(tmp_path / "run"), "--quiet"]
    assert hospital.main(["--pipeline", "mr-superres", *asked]) == 1
    assert json.loads(capsys.readouterr().out) == {
        "error": f"there is no trainer for mr-superres yet; there is one for {CTDenoise.name}"
    }
    assert hospital.main(["--pipeline", "ct-denoise", "--device", "cpu", *asked]) == 1
    assert "holds no complete copies" in json.loads(capsys.readouterr().out)["error"]
