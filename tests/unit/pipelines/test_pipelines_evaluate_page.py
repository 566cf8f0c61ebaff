"""From outputs to gates, page and card: a small evaluation with the shipped network on a phantom."""

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Picture

from dicomnode.enhance.card import read_card
from pipelines.evaluate import gates
from pipelines.evaluate.bench import Bench, Finding, at_noise, at_strength
from pipelines.evaluate.classical import Tuned
from pipelines.evaluate.ct import main, write
from pipelines.evaluate.evaluation import Evaluation
from pipelines.evaluate.figures import body
from pipelines.evaluate.folds import unseen
from pipelines.evaluate.grain import REFERENCE, Grain, measure_grain
from pipelines.evaluate.harm import Change, Harm
from pipelines.evaluate.heldout import Slice
from pipelines.evaluate.markdown import columns, table
from pipelines.evaluate.methods import ENDS, WEIGHTS, Network, filtered, unchanged
from pipelines.evaluate.outputs import matched_strength, run
from pipelines.evaluate.patients import measure_patients
from pipelines.evaluate.preserved import Preserved, measure_preserved
from pipelines.evaluate.record import as_json
from pipelines.evaluate.ring import measure_ring
from pipelines.evaluate.robustness import Case, Figures, Robustness, judged_case
from pipelines.evaluate.rows import gain, measure
from pipelines.evaluate.training import Training, measure_training
from pipelines.simulate.bank import HELDOUT

pytestmark = pytest.mark.torch
STRENGTH = 0.8


def phantom_slice(seed: int, size: int = 224) -> Slice:
    """A patient of 40 HU with a lung and some bone; the reference has noise of its own."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:size, :size] - size / 2
    hu = np.full((size, size), -1000.0, np.float32)
    hu[rows**2 + columns**2 < (0.47 * size) ** 2] = 40.0
    hu[(rows + 60) ** 2 + columns**2 < 30**2] = -800.0
    hu[(rows - 80) ** 2 + columns**2 < 14**2] = 500.0
    clean = (hu + rng.normal(0, 8, hu.shape)).astype(np.float32)
    noisy = (clean + rng.normal(0, 30, (3, size, size))).astype(np.float32)
    return Slice(f"phantom {seed}", noisy, clean, body(hu), [(112, 60), (112, 112), (112, 160), (150, 112)])


@pytest.fixture(scope="module")
def bench() -> Bench:
    network, classical = Network(), Tuned("Gaussian", {"sigma": 0.6}, 38.0)
    slices = [phantom_slice(seed) for seed in (1, 2)]
    methods = {classical.name: filtered(classical)} | {end: network.at(1.0, value) for end, value in ENDS.items()}
    outputs = {name: run(name, method, slices, 1) for name, method in methods.items()}
    noise = outputs[classical.name].noise(1.0)
    matched = {end: matched_strength(outputs[end], noise) for end in ENDS}
    known = {classical.name: 1.0} | {end: value for end, value in matched.items() if value is not None}
    return Bench(Path("data"), WEIGHTS, network, classical, slices, outputs, STRENGTH, 1.0, known, 1)


@pytest.fixture(scope="module")
def found(bench: Bench) -> Evaluation:
    rows = [measure("input", bench.outputs["Gaussian"], 0.0), measure("Gaussian", bench.outputs["Gaussian"], 1.0)]
    for strength in (STRENGTH, 1.0):
        rows += [measure(at_strength(end, strength), bench.outputs[end], strength) for end in ENDS]
    matched = [measure(at_noise(name), bench.outputs[name], value) for name, value in bench.matched.items()]
    label = at_strength("adversarial end", STRENGTH)
    harm = Harm({label: Change(6.0, 5.0)}, 8.0)
    headline = next(row for row in rows if row.name == label)
    findings: dict[str, Finding] = {"texture": measure_grain(bench), "agreement": measure_ring(bench), "harm": harm}
    findings["preserved"] = measure_preserved(bench)
    return Evaluation(
        bench, [bench.classical], {0.8: 40.0, 1.0: 41.0}, 1.0, rows, matched, gain(headline, rows[1]), findings, 1.0
    )


def test_matched_rows_have_the_noise_of_the_best_classical_filter(bench: Bench, found: Evaluation) -> None:
    wanted = found.classical.mean("noise")
    for end in ENDS:
        assert found.row(at_noise(end)).mean("noise") == pytest.approx(wanted, rel=1e-3)
        assert 0 < bench.matched[end] < 1


def test_the_reference_is_no_distance_from_itself_and_the_input_is_finer(found: Evaluation) -> None:
    grain = found.found(Grain)
    assert grain is not None
    assert grain.levels[REFERENCE].distance == 0
    assert grain.off(REFERENCE) == 0
    assert grain.levels["input"].noise == pytest.approx(math.hypot(30, 8), rel=0.1)
    assert f"{grain.levels['input'].frequency:.3f}" in grain.markdown()


def test_the_input_lies_where_it_lies(found: Evaluation) -> None:
    kept = found.found(Preserved)
    assert kept is not None
    assert kept.shift["input"] == 0
    assert max(kept.shift.values()) < 0.05
    assert kept.dice[at_strength("pixel end", STRENGTH)]["lung"] > 0.95


def test_a_gate_tells_what_it_measured_and_why_it_was_missed(found: Evaluation) -> None:
    rows = {row.name: row for row in gates.results(found)}
    harm = rows["change of a full-dose slice"]
    assert harm.reached
    assert harm.measured.startswith("6.0 HU")
    assert harm.why == ""
    worse = Evaluation(**{**vars(found), "findings": {"harm": Harm({found.headline.name: Change(9.0, 9.0)}, 8.0)}})
    missed = {row.name: row for row in gates.results(worse)}["change of a full-dose slice"]
    assert not missed.reached
    assert missed.why in gates.markdown([missed])
    assert "**no**" in gates.markdown([missed])


def test_a_part_that_was_not_run_has_no_gate(found: Evaluation) -> None:
    names = {row.name for row in gates.results(found)}
    assert "loss of MTF50" not in names
    assert "shift" in names


def test_the_dose_sweep_lets_nothing_through_only_if_no_dose_does(found: Evaluation) -> None:
    cases = {"1 x": Case({}, 4, 0, 0, 0, 0), "4 x": Case({}, 4, 0, 1, 3, 2), "a head": Case({}, 4, 0, 0, 4, 4)}
    robust = Robustness(cases, [], {1.0: "1 x", 4.0: "4 x"}, {})
    assert robust.passed == 2
    rows = gates.results(Evaluation(**{**vars(found), "findings": {"robustness": robust}}))
    sweep = next(row for row in rows if row.name.startswith("dose sweep"))
    assert not sweep.reached
    assert "2 of 4 at 4 x" in sweep.why


def test_where_the_classical_filter_is_better_is_said() -> None:
    labels = ["input", "NLM", "pixel end", "adversarial end"]
    better, worse = (
        dict(zip(labels, (Figures(psnr, 1.0, 0.0) for psnr in row), strict=True))
        for row in ((38.0, 41.0, 42.0, 43.0), (38.0, 43.0, 42.0, 42.5))
    )
    cases = {"1 x": Case(better, 4, 0, 0, 0, 0), "another scanner": Case(worse, 4, 0, 0, 0, 0)}
    robust = Robustness(cases, labels, {1.0: "1 x"}, {})
    assert robust.lost() == ["another scanner (43.00 against 42.50 dB)"]
    assert robust.lost()[0] in robust.markdown()


def test_page_card_and_json_hold_the_same_figures(found: Evaluation, tmp_path: Path) -> None:
    card, there = tmp_path / "card.toml", tmp_path / "page.md"
    write(found, card, there)
    pictures = sorted((tmp_path / "pictures").iterdir())
    assert [path.stem for path in pictures] == ["differences", "slice", "spectra"]
    assert all(path.stat().st_size < 150_000 for path in pictures)
    assert {Picture.open(path).mode for path in pictures} == {"P"}
    text, read = there.read_text(encoding="utf-8"), read_card(card)
    gained = f"{found.gain.mean:+.2f} dB"
    assert "(pictures/slice.png)" in text
    assert gained in text
    assert any(gained in line for line in read.limits)
    assert read.metrics["gain_over_best_classical_db"] == pytest.approx(found.gain.mean, abs=5e-4)
    assert len(read.metrics["gates"]) == len(gates.results(found))
    record = json.loads(json.dumps(as_json(found)))
    assert record["gain_db"]["mean"] == pytest.approx(found.gain.mean)
    assert record["rows"]["input"]["contrast"]["r2 20 HU"] == pytest.approx(1.0, abs=1e-3)


def test_an_evaluation_of_a_part_that_is_not_known_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["ct", "--only", "elsewhere"])
    with pytest.raises(SystemExit):
        main()


def test_without_data_the_command_says_what_to_run(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["ct", "--data", str(tmp_path), "--only", "harm"])
    assert main() == 2
    assert "python -m pipelines.data" in capsys.readouterr().err


def test_doing_nothing_is_what_strength_nought_does(bench: Bench) -> None:
    one = bench.slices[0]
    assert bench.outputs["pixel end"].image(0, 0.0) == pytest.approx(unchanged(one.noisy))
    image, _ = bench.network.judged(one.noisy)
    assert np.abs(image - bench.network.at(STRENGTH, 1.0)(one.noisy)).mean() < 5


def test_a_case_has_the_figures_and_what_the_guards_say_of_its_slices(bench: Bench) -> None:
    case = judged_case(bench, bench.slices, bench.variants(), bench.methods())
    assert case.slices == 2
    assert case.figures["input"].rmse == pytest.approx(30, rel=0.05)
    assert case.figures[at_strength("pixel end", STRENGTH)].rmse < case.figures["input"].rmse
    assert case.passed <= case.worse <= case.slices
    assert case.flagged + case.withheld <= case.slices


def test_a_body_without_weights_of_its_own_is_said_to_be_missing(bench: Bench, tmp_path: Path) -> None:
    weights = tmp_path / "ct-denoise-9.9.safetensors"
    found = measure_patients(replace(bench, weights=weights))
    assert found.missing == ["cxr", "lung1"]
    assert list(found.found) == [HELDOUT]
    own = found.found[HELDOUT]
    assert own.gain.mean == pytest.approx(own.rows[-1].mean("psnr") - own.rows[1].mean("psnr"))
    assert "cxr or lung1" in found.markdown()


def test_weights_that_never_saw_a_body(tmp_path: Path) -> None:
    weights = tmp_path / "ct-denoise-9.9.safetensors"
    assert unseen(HELDOUT, weights) == weights
    assert unseen("cxr", weights) is None
    fold = tmp_path / "folds" / "ct-denoise-9.9-without-cxr.safetensors"
    fold.parent.mkdir()
    fold.touch()
    assert unseen("cxr", weights) == fold


def test_tables_have_a_column_for_every_cell() -> None:
    assert table(["a", "b"], [["1", "2"]]) == "| a | b |\n| --- | --- |\n| 1 | 2 |"
    assert columns(["a", "b"], [["100", "2"]]) == "a    b\n100  2"


@pytest.mark.parametrize(("least", "most", "reached"), [(0.56, 0.84, True), (0.54, 0.7, False), (0.6, 0.9, False)])
def test_the_game_of_the_two_networks_is_a_gate(found: Evaluation, least: float, most: float, reached: bool) -> None:
    values = {"least": least, "mean": 0.7, "most": most}
    facts = {f"discriminator_accuracy_{name}": value for name, value in values.items()}
    trained = replace(found, findings={"training": Training(facts)})
    (own,) = (row for row in gates.results(trained) if row.name == "accuracy of the discriminator")
    assert own.reached is reached


def test_what_the_weights_say_of_their_training_is_read(bench: Bench) -> None:
    training = measure_training(bench)
    assert training.accuracy is not None
    assert f"{training.facts['adversarial_steps']} adversarial steps" in training.markdown()
