"""Rules in force whose pipeline cannot be used any more, by a node that was started again since."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from support.desks import ANA, IS_CT, PACS, rule, tried
from support.flowbench import FlowBench
from support.rulesets import real_file

from dicomnode.desk.refused import Refused
from dicomnode.desk.rules.draft import read_draft, save_draft
from dicomnode.desk.rules.editing import put_destination, put_rule, remove_rule
from dicomnode.desk.rules.explain import explain_series
from dicomnode.desk.rules.in_force import rules_in_force
from dicomnode.desk.rules.publish import import_site, publish, rollback
from dicomnode.enhance.registry import Registry
from dicomnode.flow.upkeep.surroundings import rules_without_pipeline

OWN = """
from pydantic import Field
from dicomnode.enhance.api import Acceptance, Pipeline, PipelineParams


class Own(Pipeline):
    name, version, title, precision = "own", "1.0.0", "t", "float32"

    class Params(PipelineParams):
        strength: float = Field(0.5, le=1.0)

    def accepts(self, series):
        return Acceptance.yes()

    def enhance(self, slices, params):
        return slices[:, 0]
"""
ONE = rule("one", pipeline="own", params={"strength": 0.9})
TWO = rule("two", pipeline="own", deliver_to=["archive"])
WHY = "own.py cannot be imported: ModuleNotFoundError: No module named 'nothing_there'"


@pytest.fixture
def bench(tmp_path: Path) -> FlowBench:
    """Two live rules ask for a pipeline whose file does not load."""
    bench = FlowBench(tmp_path / "node", pipelines=OWN)
    import_site(bench.flow, ANA, {**read_draft(bench.flow).document(), "rules": [ONE, TWO]}, "")
    became(bench, f"import nothing_there\n{OWN}")
    return bench


def became(bench: FlowBench, text: str) -> None:
    """Another file, and the node started again."""
    (bench.root / "pipelines/own.py").write_text(text, encoding="utf-8")
    bench.flow.registry.entries = Registry.load([bench.root / "pipelines"]).entries


def put(bench: FlowBench, document: Mapping[str, Any], name: str = "") -> list[str]:
    """The states of the draft's rules after it."""
    draft = put_rule(bench.flow, ANA, document, read_draft(bench.flow).version, name=name)
    return [f"{each.name} {each.state}" for each in draft.site.rules]


def test_all_else_can_be_changed(bench: FlowBench) -> None:
    put_destination(bench.flow, ANA, {**PACS, "host": "127.0.0.2"}, 0, name="pacs")
    draft = put_destination(bench.flow, ANA, {**PACS, "name": "north"}, read_draft(bench.flow).version, name="pacs")
    assert draft.site.rules[0].deliver_to == ("north",)
    onward = {"name": "onward", "state": "live", "when": IS_CT, "forward_original_to": ["archive"]}
    assert put(bench, onward) == ["one live", "two live", "onward live"]


def test_the_broken_rule_is_stopped_changed_or_removed(bench: FlowBench) -> None:
    assert put(bench, {**ONE, "state": "draft"}, "one") == ["one draft", "two live"]
    assert put(bench, ONE, "one") == ["one live", "two live"]  # as it is in force
    assert put(bench, rule("one"), "one") == ["one live", "two live"]
    remove_rule(bench.flow, ANA, "two", read_draft(bench.flow).version)
    save_draft(bench.flow, ANA, {"destinations": [PACS], "rules": []}, read_draft(bench.flow).version)


@pytest.mark.parametrize(
    ("changed", "name"),
    [
        (rule("three", pipeline="own"), ""),
        ({**ONE, "when": {"all": []}}, "one"),
        ({**ONE, "enhance": {"pipeline": "own"}}, "one"),
        ({**ONE, "writer": {"series_number_offset": 2000}}, "one"),
        ({**ONE, "name": "first"}, "one"),
    ],
)
def test_what_is_new_or_asks_for_more_is_refused_as_before(
    bench: FlowBench, changed: dict[str, Any], name: str
) -> None:
    with pytest.raises(Refused, match="is broken") as error:
        put(bench, changed, name)
    assert [problem["path"] for problem in error.value.problems] == ["enhance.pipeline"]


def test_a_draft_that_was_published_does_not_go_live_while_it_is_broken(bench: FlowBench) -> None:
    put(bench, {**ONE, "state": "draft"}, "one")
    tried(bench)
    publish(bench.flow, ANA, read_draft(bench.flow).version, "")
    with pytest.raises(Refused, match="is broken"):
        put(bench, ONE, "one")


def test_publishing_and_its_replay_say_which_rules_are_broken(bench: FlowBench) -> None:
    remove_rule(bench.flow, ANA, "two", 0)
    row = tried(bench)
    broken = [each for each in row.result["warnings"] if each["kind"] == "broken"]
    note = f"rule one enhances nothing: pipeline own is broken: {WHY}"
    assert [(each["rule"], each["message"]) for each in broken] == [
        ("one", f"{note}; its series get originals alone"),
    ]
    done = publish(bench.flow, ANA, read_draft(bench.flow).version, "")
    assert done.notes == (note,)


def test_a_file_and_an_earlier_revision_come_in_force_as_well(bench: FlowBench) -> None:
    document = read_draft(bench.flow).document()
    import_site(bench.flow, ANA, {**document, "rules": [TWO]}, "")
    done = rollback(bench.flow, ANA, 2, "")
    assert [note.partition(":")[0] for note in done.notes] == ["rule one enhances nothing", "rule two enhances nothing"]
    with pytest.raises(Refused, match="is broken"):
        import_site(bench.flow, ANA, {**document, "rules": [rule("new", pipeline="own")]}, "")


def test_a_pipeline_that_takes_the_parameters_no_more_breaks_its_rule_alone(bench: FlowBench) -> None:
    became(bench, OWN.replace("le=1.0", "le=0.8"))
    bench.receive(real_file("CT_small.dcm"))
    assert bench.complete() == 1
    why = "its parameters are refused: pipeline own: strength: Input should be less than or equal to 0.8"
    (series,) = bench.series()
    one, two = explain_series(bench.flow, series.uid).rules
    assert (one.acts, one.decided) == (False, f"matches, but {why}")
    assert (two.acts, two.decided) == (True, "matches: own")
    assert [entry.state for entry in bench.enhancements()] == ["ready"]
    put_destination(bench.flow, ANA, {**PACS, "host": "127.0.0.2"}, 0, name="pacs")
    assert "less than or equal to 0.8" in rules_in_force(bench.flow).rules[0].problem
    assert [finding.subject for finding in rules_without_pipeline(bench.flow)] == ["rule:one"]
    assert tried(bench).result["summary"] == "1 series, none changes"
