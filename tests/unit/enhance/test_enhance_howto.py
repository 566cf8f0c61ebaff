"""The page docs/howto/pipelines.md tells the truth: its example runs, its card is complete."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch

from dicomnode.domain.verdict import Verdict
from dicomnode.enhance.api import Envelope
from dicomnode.enhance.card import read_card
from dicomnode.enhance.registry import Registry
from dicomnode.enhance.runner import Engine

pytestmark = pytest.mark.torch

PAGE = Path(__file__).resolve().parents[3] / "docs" / "howto" / "pipelines.md"


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)


def test_the_example_enhances_a_series(tmp_path: Path, make_sources, facts_of, ct_volume, header_facts) -> None:
    torch.set_num_threads(1)
    (tmp_path / "median.py").write_text(blocks("python")[0], encoding="utf-8")
    registry = Registry.load([tmp_path], bundled=False, entry_points=False)
    sources = make_sources(ct_volume)
    facts = facts_of(sources)
    assert registry.usable("median").accepts(facts).accepted
    engine = Engine(registry, "cpu", instance_facts=header_facts)
    result = engine.enhance(engine.prepare("median"), sources, {"strength": 1.0}, facts=facts)
    assert result.verdict is not Verdict.WITHHOLD, result.figures
    region = (slice(25, 38), slice(5, 40))
    for image, original in zip(result.slices, ct_volume, strict=True):
        assert image.pixels[region].std() < 0.6 * original[region].std()
        assert image.pixels.mean() == pytest.approx(original.mean(), abs=0.01)
    assert [figure.guard for figure in result.figures] == ["envelope", "finite", "residual bound", "low frequency"]


def test_the_card_on_the_page_is_complete(tmp_path: Path) -> None:
    card = tmp_path / "my-net-1.0.toml"
    card.write_text(blocks("toml")[0], encoding="utf-8")
    found = read_card(card)
    assert found.golden is not None
    assert len(found.limits) == 2


def test_the_envelope_on_the_page_is_one() -> None:
    names: dict[str, object] = {"Envelope": Envelope}
    exec(blocks("python")[1], names)
    assert isinstance(names["envelope"], Envelope)
    assert np.isfinite(names["envelope"].number["KVP"]).all()
