"""`models import`: tensors become a pipeline of this site; everything else is refused with one sentence."""

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from typer.testing import CliRunner

from dicomnode.cli import app
from dicomnode.cli.common import CommandFailed
from dicomnode.cli.models.checkpoint import read_tensors
from dicomnode.cli.models.generator import generator_of
from dicomnode.enhance.card import read_card
from dicomnode.enhance.loaded import load_pipeline
from dicomnode.enhance.registry import Registry

pytestmark = pytest.mark.torch
ABOUT = ("--licence", "CC0-1.0", "--data", "ten open chests", "--intended-use", "tests", "--not-for", "patients")
NAMED = ("--pipeline", "ct-denoise", "--name", "ct-other", "--version", "2.0", *ABOUT, "--limit", "Never tried.")
Tensors = dict[str, torch.Tensor]


@pytest.fixture(scope="module")
def shipped() -> Tensors:
    entry = Registry.load(entry_points=False).usable("ct-denoise")
    assert entry.weights
    return dict(load_file(entry.weights))


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Run `models import` with the site's folder in `tmp_path`; the document, or the sentence it fails with."""
    monkeypatch.setenv("DICOMNODE_PIPELINES__PATH", str(tmp_path / "site"))
    monkeypatch.chdir(tmp_path)

    def invoke(*arguments: str | Path) -> Any:
        result = CliRunner().invoke(app, ["models", "import", *map(str, arguments), "--json"])
        if result.exception and not isinstance(result.exception, SystemExit):
            assert isinstance(result.exception, CommandFailed), result.exception
            return str(result.exception)
        return json.loads(result.stdout)

    return invoke


def one_end(shipped: Tensors) -> Tensors:
    return {name.removeprefix("pixel."): value for name, value in shipped.items() if name.startswith("pixel.")}


def test_a_checkpoint_of_one_network_becomes_a_pipeline(tmp_path: Path, shipped: Tensors, run: Any) -> None:
    state = {f"module.{name}": value.half() for name, value in one_end(shipped).items()}
    torch.save({"epoch": 7, "state_dict": state}, tmp_path / "theirs.pt")
    document = run(tmp_path / "theirs.pt", *NAMED)
    weights = tmp_path / "site" / "weights" / "ct-other-2.0.safetensors"
    assert document["weights"] == str(weights)
    assert document["sha256"] == hashlib.sha256(weights.read_bytes()).hexdigest()
    card = read_card(weights.with_suffix(".toml"))
    assert card.golden is not None
    assert card.training_data[0].name == "ten open chests"
    assert any("texture changes nothing" in line for line in card.limits)
    entry = Registry.load([tmp_path / "site"], entry_points=False).usable("ct-other")
    assert load_pipeline(entry, torch.device("cpu")).pipeline.guards.features is None
    original = Registry.load(entry_points=False).usable("ct-denoise")
    assert entry.version == original.version
    recipe = Registry.load([tmp_path / "site"], entry_points=False).recipe("ct-other", {})
    assert recipe.weights_sha256 == document["sha256"]


def test_both_ends_are_kept_apart(tmp_path: Path, shipped: Tensors, run: Any) -> None:
    save_file(shipped, tmp_path / "both.safetensors")
    run(tmp_path / "both.safetensors", *NAMED)
    card = read_card(tmp_path / "site" / "weights" / "ct-other-2.0.toml")
    assert not any("texture changes nothing" in line for line in card.limits)
    placed = load_file(tmp_path / "site" / "weights" / "ct-other-2.0.safetensors")
    assert all(torch.equal(placed[name], value) for name, value in shipped.items())


def test_the_card_and_limits_beside_weights_are_taken_over(tmp_path: Path, run: Any) -> None:
    source = Registry.load(entry_points=False).usable("ct-denoise").weights
    assert source
    for suffix in (".safetensors", ".toml", ".limits.toml"):
        (tmp_path / f"mine{suffix}").write_bytes(source.with_suffix(suffix).read_bytes())
    assert run(tmp_path / "mine.safetensors", "--pipeline", "ct-denoise", "--name", "ct-mine")["name"] == "ct-mine"
    placed = next((tmp_path / "site" / "weights").glob("ct-mine-*.safetensors"))
    assert placed.read_bytes() == source.read_bytes()
    card = read_card(next((tmp_path / "site" / "weights").glob("ct-mine-*[0-9].toml")))
    assert card.limits == read_card(source.with_suffix(".toml")).limits
    guards = Registry.load([tmp_path / "site"], entry_points=False).usable("ct-mine").create().guards
    assert guards.features is not None


def test_nothing_is_replaced_and_the_shipped_folder_is_left_alone(
    tmp_path: Path, shipped: Tensors, run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_file(shipped, tmp_path / "w.safetensors")
    run(tmp_path / "w.safetensors", *NAMED)
    assert run(tmp_path / "w.safetensors", *NAMED).startswith("there is already a pipeline named ct-other")
    taken = [*NAMED[:3], "ct-denoise", *NAMED[4:]]
    assert run(tmp_path / "w.safetensors", *taken).startswith("there is already a pipeline named ct-denoise")
    monkeypatch.setenv("DICOMNODE_PIPELINES__PATH", str(Path(__file__).parents[3] / "pipelines"))
    assert "which are never changed" in run(tmp_path / "w.safetensors", *NAMED)


def test_a_card_of_other_weights_is_refused(tmp_path: Path, shipped: Tensors, run: Any) -> None:
    source = Registry.load(entry_points=False).usable("ct-denoise").weights
    assert source
    save_file(one_end(shipped), tmp_path / "other.safetensors")
    (tmp_path / "other.toml").write_bytes(source.with_suffix(".toml").read_bytes())
    assert "is of other weights than other.safetensors" in run(tmp_path / "other.safetensors", *NAMED)


def test_what_the_card_needs_is_asked_for_at_once(tmp_path: Path, shipped: Tensors, run: Any) -> None:
    save_file(shipped, tmp_path / "w.safetensors")
    message = run(tmp_path / "w.safetensors", "--pipeline", "ct-denoise")
    assert message.endswith("options missing: --name, --version, --licence, --data, --intended-use, --not-for, --limit")
    assert not (tmp_path / "site").exists()


def broken(shipped: Tensors, name: str) -> Any:
    """A file's content for each reason to refuse it."""
    end = one_end(shipped)
    first = next(name for name in end if end[name].ndim == 4)
    return {
        "a discriminator": {"generator": end, "discriminator": {"0.weight": torch.zeros(2)}},
        "are none": end | {first: torch.full_like(end[first], torch.nan)},
        "has the shape": end | {first: end[first][..., :1]},
        "is missing": {name: value for name, value in end.items() if name != first},
        "it has no": end | {"up9.0.weight": torch.zeros(4, 4, 3, 3)},
        "not floating point": end | {first: end[first].int()},
        "names are not those": {"conv.weight": torch.zeros(3)},
        "several networks": {"average": end, "generator": end},
        "not trained, or not for the units": {key: 20 * value for key, value in end.items()},
        "has another shape": end | {first: end[first][:, :1].repeat(1, 7, 1, 1)},
    }[name]


@pytest.mark.parametrize(
    "reason",
    [
        *("a discriminator", "are none", "has the shape", "is missing", "it has no", "not floating point"),
        *("names are not those", "several networks", "not trained, or not for the units", "has another shape"),
    ],
)
def test_weights_that_do_not_fit_are_refused(tmp_path: Path, shipped: Tensors, run: Any, reason: str) -> None:
    torch.save(broken(shipped, reason), tmp_path / "bad.pth")
    message = run(tmp_path / "bad.pth", *NAMED)
    assert reason in message
    assert "\n" not in message
    assert not (tmp_path / "site").exists()


class _Code:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("it-ran",)


@pytest.mark.parametrize("form", ["zip", "old"])
def test_pickled_code_is_never_run(tmp_path: Path, form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"w": _Code()}, tmp_path / "bad.pt", _use_new_zipfile_serialization=form == "zip")
    with pytest.raises(CommandFailed, match="holds pickled code, which is never run here"):
        read_tensors(tmp_path / "bad.pt")
    assert not (tmp_path / "it-ran").exists()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"PK\x03\x04 nothing", "broken torch checkpoint"),
        (b"\x10\0\0\0\0\0\0\0{broken", "broken safetensors file"),
        (b"hello there, weights", "neither a safetensors file nor a torch checkpoint"),
        (b"", "neither a safetensors file nor a torch checkpoint"),
    ],
)
def test_broken_files_are_said_so(tmp_path: Path, content: bytes, reason: str) -> None:
    (tmp_path / "x.pt").write_bytes(content)
    with pytest.raises(CommandFailed, match=reason):
        read_tensors(tmp_path / "x.pt")
    with pytest.raises(CommandFailed, match="cannot read"):
        read_tensors(tmp_path / "nowhere.pt")


def test_a_network_without_ends_keeps_its_names() -> None:
    known = {"enter.weight": torch.zeros(2, 2), "leave.bias": torch.zeros(3)}
    found, own_ends = generator_of({f"net.{name}": value for name, value in known.items()}, known)
    assert set(found) == set(known)
    assert not own_ends
