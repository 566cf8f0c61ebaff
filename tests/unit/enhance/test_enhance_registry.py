"""The registry: what is found, what is broken and why, what a recipe is made of."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from dicomnode.domain.facts import SeriesFacts
from dicomnode.domain.writer_profile import WriterProfile
from dicomnode.enhance import discovery
from dicomnode.enhance.errors import ParamsRefused, PipelineBroken, PipelineUnknown
from dicomnode.enhance.registry import Entry, Registry

IDENTITY = """
def enhance(self, slices, params):
    return slices[:, 0]
"""

NOTHING = SeriesFacts({}, {})


def site(folder: Path) -> Registry:
    return Registry.load([folder], bundled=False, entry_points=False)


def only(folder: Path) -> Entry:
    (entry,) = site(folder)
    return entry


def test_the_bundled_pipelines_are_found_without_torch() -> None:
    code = (
        "import sys; from dicomnode.enhance.registry import Registry; import dicomnode.enhance.runner;"
        "names = [entry.name for entry in Registry.load() if entry.usable];"
        "assert 'torch' not in sys.modules, 'torch was loaded';"
        "print(*names)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "passthrough" in done.stdout.split()


def test_a_pipeline_is_found_with_its_relative_imports(write_pipeline, tmp_path: Path) -> None:
    folder = write_pipeline(IDENTITY + "\nfrom .shared import NEIGHBOURS as neighbours\n", name="with-help")
    (folder / "shared.py").write_text("NEIGHBOURS = 2\n", encoding="utf-8")
    (folder / "inner").mkdir()
    (folder / "inner" / "__init__.py").write_text("raise RuntimeError('sub-packages are not run')", encoding="utf-8")
    entry = only(folder)
    assert entry.usable
    assert (entry.name, entry.version, entry.create().neighbours) == ("with-help", "1.0", 2)


def test_files_without_a_pipeline_are_not_run(write_pipeline) -> None:
    folder = write_pipeline(IDENTITY)
    (folder / "data.py").write_text("class Loader:\n    name = 'x'\nraise SystemExit(3)\n", encoding="utf-8")
    assert [entry.name for entry in site(folder)] == ["tiny"]


def test_a_variant_of_another_pipeline_is_one_and_a_record_is_none(write_pipeline) -> None:
    folder = write_pipeline(IDENTITY)
    variant = "from .tiny import Tiny\nclass Wide(Tiny):\n    name, version = 'wide', '2'\n    neighbours = 2\n"
    (folder / "wide.py").write_text(variant, encoding="utf-8")
    record = "class Base: pass\nclass Package(Base):\n    name: str\n    version: str = ''\n1 / 0\n"
    (folder / "records.py").write_text(record, encoding="utf-8")
    assert [(entry.name, entry.usable) for entry in site(folder)] == [("tiny", True), ("wide", True)]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("class P(Pipeline:\n", "broken.py line 1"),
        ("import no_such_module\nclass P(Pipeline): pass\n", "no_such_module"),
        ("class P(Pipeline): pass\n", "NameError"),
        ("import sys\nsys.exit(1)\nclass P(Pipeline): pass\n", "SystemExit"),
        ("from dicomnode.enhance.api import Pipeline\nclass P(Pipeline):\n    name = 'p'\n", "does not define"),
        ("class Pipeline:\n    pass\nclass P(Pipeline):\n    pass\n", "defines no pipeline"),
        ("\x00", "broken.py"),
        ("x = " + "+".join(["1"] * 5000), "broken.py cannot be imported: RecursionError"),
        ("class P(Pipeline" + "()" * 2000 + "): pass\n", "broken.py cannot be imported: "),
        ("raise ValueError('one\\ntwo')\nclass P(Pipeline): pass\n", "ValueError: one two"),
    ],
)
def test_a_broken_file_is_an_entry_with_a_reason(write_pipeline, text: str, reason: str) -> None:
    folder = write_pipeline(IDENTITY)
    (folder / "broken.py").write_text(text, encoding="utf-8")
    broken, tiny = sorted(site(folder), key=lambda entry: entry.name)
    assert tiny.usable
    assert not broken.usable
    assert broken.name == "broken"
    assert reason in broken.error
    assert "\n" not in broken.error
    with pytest.raises(PipelineBroken, match="pipeline broken is broken"):
        broken.create()


def test_two_pipelines_in_one_file_are_refused(write_pipeline) -> None:
    folder = write_pipeline(IDENTITY)
    path = folder / "tiny.py"
    path.write_text(path.read_text() + "\nclass Second(Tiny):\n    name = 'second'\n", encoding="utf-8")
    assert "one file is one pipeline" in only(folder).error


@pytest.mark.parametrize(
    ("attribute", "reason"),
    [
        ("name = 'Has Spaces'", "small letters"),
        ("name = 5", "small letters"),
        ("version = 1", "version must be a text"),
        ("neighbours = 99", "neighbours"),
        ("scope = 'volume'", "scope"),
        ("units = 'hounsfield'", "units"),
        ("Params = dict", "PipelineParams"),
        ("weights = '../elsewhere.safetensors'", "file name"),
        ("weights = 'model.pt'", "safetensors"),
        ("weights = 5", "file name"),
        ("weights = ('a.safetensors',)", "file name"),
        ("weights = b'a.safetensors'", "file name"),
        ("weights = 'a\\0.safetensors'", "null byte"),
        ("title = 5", "title must be a text"),
        ("class Odd:\n    def __eq__(self, other):\n        raise KeyError('odd')\nunits = Odd()", "tiny.py cannot be"),
        ("guards = None", "GuardLimits"),
        ("units, guards = 'stored', GuardLimits(residual_sigmas=3)", "physical"),
        ("same_grid, guards = False, GuardLimits(low_frequency_sigma=9)", "unchanged grid"),
    ],
)
def test_class_attributes_are_checked(write_pipeline, attribute: str, reason: str) -> None:
    entry = only(write_pipeline(IDENTITY + "\n" + attribute))
    assert not entry.usable
    assert reason in entry.error


def test_a_model_card_that_is_nested_too_deeply_is_a_reason(write_pipeline) -> None:
    folder = write_pipeline(IDENTITY + "\nweights = 'deep.safetensors'")
    (folder / "weights" / "deep.toml").write_text("a = " + "[" * 5000, encoding="utf-8")
    assert only(folder).error == "the model card deep.toml cannot be read: it is too deeply nested"


def test_a_name_taken_twice_is_broken_the_second_time(write_pipeline) -> None:
    write_pipeline(IDENTITY, file="a_first.py")
    folder = write_pipeline(IDENTITY, file="b_second.py")
    registry = site(folder)
    first, second = registry
    assert first.usable
    assert second.error == "the name tiny is already taken by a_first.py"
    assert registry.usable("tiny") is first


def test_a_folder_cannot_take_the_name_of_a_bundled_pipeline(write_pipeline) -> None:
    folder = write_pipeline(IDENTITY, name="passthrough")
    registry = Registry.load([folder], entry_points=False)
    bundled = discovery.bundled_folder()
    assert bundled is not None
    assert registry.usable("passthrough").path == bundled / "passthrough.py"
    assert any("already taken" in entry.error for entry in registry if entry.path.parent == folder)


def test_the_bundled_folder_named_again_counts_once() -> None:
    bundled = discovery.bundled_folder()
    assert bundled is not None
    names = [entry.name for entry in Registry.load([bundled, bundled / "missing"], entry_points=False)]
    assert names.count("passthrough") == 1


def test_an_edited_file_is_read_again(write_pipeline) -> None:
    folder = write_pipeline(IDENTITY)
    assert only(folder).create().neighbours == 0
    write_pipeline(IDENTITY + "\nneighbours = 3  # edited\n")
    assert only(folder).create().neighbours == 3


def test_entry_points_are_found_and_broken_ones_named(write_pipeline, monkeypatch) -> None:
    folder = write_pipeline(IDENTITY, name="from-a-package", file="packaged.py")
    monkeypatch.syspath_prepend(str(folder))
    group = discovery.ENTRY_POINT_GROUP
    points = [
        discovery.EntryPoint("a", "packaged", group),
        discovery.EntryPoint("b", "packaged:nothing", group),
        discovery.EntryPoint("c", "json:dumps", group),
    ]
    monkeypatch.setattr(discovery, "entry_points", lambda group: points)
    good, missing, wrong = Registry.load(bundled=False)
    assert good.usable
    assert good.path == folder / "packaged.py"
    assert "cannot be imported" in missing.error
    assert "neither a pipeline" in wrong.error
    monkeypatch.delitem(sys.modules, "packaged")


def test_a_recipe_is_complete(write_pipeline) -> None:
    body = (
        IDENTITY
        + "\nclass Params(PipelineParams):\n    strength: float = Field(0.6, ge=0, le=1)\n    kind: str = 'a'\n"
    )
    registry = site(write_pipeline(body))
    recipe = registry.recipe("tiny", {"strength": 1}, WriterProfile(series_number_offset=7))
    assert (recipe.pipeline, recipe.version, recipe.weights_sha256) == ("tiny", "1.0", "")
    assert recipe.params == {"strength": 1.0, "kind": "a"}
    assert recipe.writer_profile["series_number_offset"] == 7
    assert registry.recipe("tiny", {}).digest() == registry.recipe("tiny", {"strength": 0.6}, {}).digest()
    assert set(registry.params_models()["tiny"].model_json_schema()["properties"]) == {"strength", "kind"}


@pytest.mark.parametrize(
    "field",
    [
        "__import__('typing').Callable[[int], int] = abs",
        "float = float('nan')",
        "bytes = b'\\xff'",
        "str = '\\ud800'",
        "int = Field(default_factory=lambda: 1 // 0)",
    ],
)
def test_parameters_that_json_has_no_words_for_break_that_pipeline_alone(write_pipeline, field: str) -> None:
    write_pipeline(IDENTITY, name="other")
    params = f"\nclass Params(PipelineParams):\n    odd: {field}\n"
    registry = site(write_pipeline(IDENTITY + params))
    assert registry.broken()["tiny"].startswith("tiny.py: its parameters cannot be written as JSON: ")
    assert "\n" not in registry.broken()["tiny"]
    assert list(registry.params_models()) == ["other"]


@pytest.mark.parametrize("field", ["float", "set[int] = {1}", "float = Field(1, le=float('inf'))"])
def test_parameters_without_a_default_and_odd_ones_that_can_be_written_are_allowed(write_pipeline, field: str) -> None:
    params = f"\nclass Params(PipelineParams):\n    odd: {field}\n"
    assert only(write_pipeline(IDENTITY + params)).usable


@pytest.mark.parametrize("value", ["nan", "-inf", float("inf")])
def test_numbers_that_json_has_no_words_for_are_refused(write_pipeline, value: object) -> None:
    with pytest.raises(ParamsRefused, match="pipeline tiny: strength: Input should be a finite number"):
        site(write_pipeline(IDENTITY + "\nclass Params(PipelineParams):\n    strength: float = 1\n")).recipe(
            "tiny", {"strength": value}
        )


@pytest.mark.parametrize("params", [{"strength": 2}, {"strenght": 0.5}, {"strength": "much"}])
def test_params_are_refused_in_one_sentence(write_pipeline, params: dict[str, object]) -> None:
    body = IDENTITY + "\nclass Params(PipelineParams):\n    strength: float = Field(0.6, ge=0, le=1)\n"
    with pytest.raises(ParamsRefused, match=r"^pipeline tiny: stren") as refused:
        site(write_pipeline(body)).recipe("tiny", params)
    assert "\n" not in str(refused.value)


def test_an_unknown_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(PipelineUnknown, match="did you mean passthrough"):
        Registry.load().usable("passthru")


def test_a_pipeline_that_fails_to_judge_does_not_accept(write_pipeline, facts_of, make_sources, ct_volume) -> None:
    """Of what it fails by the type and the place are told: the words quote what the header holds."""
    body = IDENTITY + "\ndef accepts(self, series):\n    float(series.only('PatientName'))\n"
    facts = facts_of(make_sources(ct_volume, PatientName="DOE^JOHN"))
    acceptance = only(write_pipeline(body)).accepts(facts)
    assert not acceptance.accepted
    assert re.fullmatch(r"pipeline tiny failed to judge the series: ValueError at tiny.py:\d+", acceptance.reason)


@pytest.mark.parametrize(("line", "reason"), [("pass", "NoneType is no Acceptance"), ("exit()", "SystemExit at ")])
def test_a_pipeline_that_does_not_answer_does_not_accept(write_pipeline, line: str, reason: str) -> None:
    acceptance = only(write_pipeline(f"{IDENTITY}\ndef accepts(self, series):\n    {line}\n")).accepts(NOTHING)
    assert not acceptance.accepted
    assert f"failed to judge the series: {reason}" in acceptance.reason


def test_installed_pipelines_go_before_a_source_folder(write_pipeline, tmp_path: Path) -> None:
    write_pipeline(IDENTITY, name="from-the-wheel").rename(tmp_path / discovery.BUNDLED_PACKAGE)
    code = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r}); from dicomnode.enhance.registry import Registry;"
        "print(*(f'{entry.name} {entry.pipeline.__module__} {entry.error}' for entry in Registry.load()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "from-the-wheel dicomnode_pipelines.from_the_wheel", done.stderr
