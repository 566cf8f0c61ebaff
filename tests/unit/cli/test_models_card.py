"""Cards and pipeline files that are written read back as what they were."""

import ast
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from dicomnode.cli.common import CommandFailed
from dicomnode.cli.models.card_text import card_text
from dicomnode.cli.models.naming import Naming
from dicomnode.cli.models.trainer import trainable
from dicomnode.cli.models.variant import parent_of, variant_text
from dicomnode.enhance.card import ModelCard, read_card
from dicomnode.enhance.registry import Registry

TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40)
PLAIN = st.one_of(TEXT, st.integers(-(2**60), 2**60), st.booleans(), st.floats(allow_nan=False))
FREE = st.dictionaries(
    TEXT, st.one_of(PLAIN, st.lists(TEXT, max_size=3), st.lists(st.floats(0, 1), max_size=3)), max_size=4
)


@settings(
    max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], deadline=None
)
@given(limits=st.lists(TEXT, min_size=1, max_size=3), licence=TEXT, free=FREE)
@example(limits=["none"], licence="none", free={"loss": float("inf"), "gain": [float("-inf")]})
def test_a_card_reads_back(tmp_path: Path, limits: list[str], licence: str, free: dict[str, Any]) -> None:
    known = Registry.load(entry_points=False).usable("ct-denoise").card
    assert known
    model = known.model.model_copy(update={"licence": licence})
    card = ModelCard.model_validate(
        known.model_dump()
        | {"limits": limits, "model": model.model_dump(), "training": free, "metrics": {"a": {"b": 1}}}
    )
    path = tmp_path / "card.toml"
    path.write_text(card_text(card, "a test"), encoding="utf-8", newline="")
    assert read_card(path) == card


@pytest.mark.parametrize("name", ["ct-denoise-site", "9-of-us"])
@pytest.mark.parametrize("with_limits", [True, False])
def test_the_pipeline_file_is_python_that_names_its_weights(name: str, with_limits: bool) -> None:
    entry = Registry.load(entry_points=False).usable("ct-denoise")
    naming = Naming(name, "1.0")
    tree = ast.parse(variant_text(parent_of(entry), naming, with_limits=with_limits))
    (definition,) = (node for node in tree.body if isinstance(node, ast.ClassDef))
    assigned = {
        ast.unparse(node.targets[0]): ast.unparse(node.value)
        for node in definition.body
        if isinstance(node, ast.Assign)
    }
    assert assigned["name"] == repr(name)
    assert assigned["weights"] == repr(f"{name}-1.0.safetensors")
    assert naming.module.isidentifier()
    assert definition.name.isidentifier()


def test_a_variant_of_a_bundled_pipeline_has_its_trainer(tmp_path: Path) -> None:
    entry = Registry.load(entry_points=False).usable("ct-denoise")
    (tmp_path / "mine.py").write_text(variant_text(parent_of(entry), Naming("mine", "1.0"), with_limits=False))
    own = Registry.load([tmp_path], entry_points=False).get("mine")
    assert own is not None
    assert own.pipeline is not None
    assert trainable(own) == "ct-denoise"
    assert parent_of(own) is parent_of(entry)


def test_a_pipeline_of_its_own_has_none(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(
        "from dicomnode.enhance.api import Acceptance, Pipeline\n\n\n"
        'class Own(Pipeline):\n    name, version = "own", "1.0"\n\n'
        "    def accepts(self, series):\n        return Acceptance.yes()\n\n"
        "    def enhance(self, slices, params):\n        return slices[:, 0]\n"
    )
    entry = Registry.load([tmp_path], entry_points=False).usable("own")
    with pytest.raises(CommandFailed, match="brings no trainer"):
        trainable(entry)
    with pytest.raises(CommandFailed, match="nothing can import"):
        parent_of(entry)


@pytest.mark.parametrize(
    ("name", "version"), [("Ours", "1.0"), ("../up", "1.0"), ("ok", "../1"), ("ok", ""), ("", "1")]
)
def test_names_that_could_not_be_files_are_refused(name: str, version: str) -> None:
    with pytest.raises(CommandFailed, match=r"--(name|version) takes"):
        Naming(name, version)
