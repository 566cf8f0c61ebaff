"""From the draft to a revision in force: versions, replays that count and those that do not, roll-back."""

from pathlib import Path

import pytest
from sqlalchemy import select, update
from support.desks import ANA, BEN, PACS, change, rule, tried
from support.flowbench import FlowBench
from support.rulesets import real_file

from dicomnode.db.models import AuditEvent, Delivery, SiteRevision
from dicomnode.db.repositories import outages
from dicomnode.desk.refused import Refused
from dicomnode.desk.rules.draft import discard_draft, read_draft, save_draft
from dicomnode.desk.rules.editing import move_rule, put_destination, put_rule, remove_destination, remove_rule
from dicomnode.desk.rules.merge import rebase
from dicomnode.desk.rules.publish import import_site, publish, rollback, why_not_yet
from dicomnode.desk.rules.replay import start_replay, stop_replay

pytestmark = pytest.mark.usefixtures("each_database")


@pytest.fixture
def bench(tmp_path: Path) -> FlowBench:
    """Revision 1: the destinations pacs and archive, no rules."""
    return FlowBench(tmp_path / "node")


def revisions(bench: FlowBench) -> list[SiteRevision]:
    with bench.flow.database.read() as session:
        return list(session.scalars(select(SiteRevision).order_by(SiteRevision.number)))


def test_the_draft_begins_with_what_is_in_force_and_is_thrown_away(bench: FlowBench) -> None:
    first = read_draft(bench.flow)
    assert (first.version, first.base, first.touched, first.stale) == (0, 1, False, False)
    draft = change(bench, rule())
    assert (draft.version, draft.author, draft.touched) == (1, "ana", True)
    assert draft.diff.lines()[0] == "rule chest: added"
    after = discard_draft(bench.flow, BEN, draft.version)
    assert (after.version, after.touched) == (2, False)
    assert bench.events()[-2:] == ["draft.saved", "draft.discarded"]


def test_who_comes_second_is_told_who_was_quicker(bench: FlowBench) -> None:
    draft = change(bench, rule())
    with pytest.raises(Refused, match="ana changed it at") as error:
        put_rule(bench.flow, BEN, rule("other"), draft.version - 1)
    assert error.value.kind == "conflict"
    discarded = discard_draft(bench.flow, ANA, draft.version)
    assert discarded.version > draft.version
    with pytest.raises(Refused, match="version 2, not 1"):  # a page from before does not meet a new draft
        put_rule(bench.flow, BEN, rule("other"), draft.version)


def test_a_document_is_validated_as_a_whole(bench: FlowBench) -> None:
    draft = read_draft(bench.flow)
    with pytest.raises(Refused, match="not a DICOM keyword") as error:
        put_rule(bench.flow, ANA, rule(when={"attribute": "Modalty", "equals": "CT"}), draft.version)
    assert [problem["path"] for problem in error.value.problems] == ["when.attribute"]
    with pytest.raises(Refused, match="there is no pipeline") as error:
        save_draft(bench.flow, ANA, "rules: [{name: a, state: draft, when: {all: []}, enhance: {pipeline: x}}]", 0)
    assert error.value.problems[0]["line"] == 1
    assert read_draft(bench.flow) == draft


def test_rules_and_destinations_are_edited_one_by_one(bench: FlowBench) -> None:
    for name in ("one", "two", "three"):
        draft = change(bench, rule(name))
    draft = move_rule(bench.flow, ANA, "three", 0, draft.version)
    assert [each.name for each in draft.site.rules] == ["three", "one", "two"]
    draft = remove_rule(bench.flow, ANA, "one", draft.version)
    draft = put_destination(bench.flow, ANA, {**PACS, "name": "new"}, draft.version, name="pacs")
    assert [each.deliver_to for each in draft.site.rules] == [("new",), ("new",)]
    with pytest.raises(Refused, match="destination new is named by three, two"):
        remove_destination(bench.flow, ANA, "new", draft.version)
    draft = remove_destination(bench.flow, ANA, "archive", draft.version)
    assert [each.name for each in draft.site.destinations] == ["new"]
    with pytest.raises(Refused, match="no rule one") as error:
        remove_rule(bench.flow, ANA, "one", draft.version)
    assert error.value.kind == "missing"


def test_nothing_is_published_that_was_not_tried(bench: FlowBench) -> None:
    assert why_not_yet(bench.flow) == "the draft changes nothing of the revision in force"
    draft = change(bench, rule())
    with pytest.raises(Refused, match="nobody has tried this draft") as error:
        publish(bench.flow, ANA, draft.version, "")
    assert error.value.kind == "conflict"
    running = start_replay(bench.flow, ANA)
    assert "still runs" in why_not_yet(bench.flow)
    stop_replay(bench.flow, ANA, running)
    assert "was stopped (by ana): start another" in why_not_yet(bench.flow)
    replay = tried(bench)
    done = publish(bench.flow, ANA, draft.version, "first rule")
    row = revisions(bench)[-1]
    assert (row.number, row.origin, row.replay_id, row.author, row.comment) == (
        done.number, "publish", replay.id, "ana", "first rule",
    )  # fmt: skip
    after = read_draft(bench.flow)
    assert (after.touched, after.base, after.version) == (False, done.number, draft.version + 1)
    with bench.flow.database.read() as session:
        event = session.scalars(select(AuditEvent).where(AuditEvent.kind == "site.published")).one()
    assert (event.actor, event.detail["replay"], event.detail["changes"][0]) == ("ana", replay.id, "rule chest: added")


def test_a_replay_of_another_document_does_not_count(bench: FlowBench) -> None:
    change(bench, rule())
    tried(bench)
    draft = change(bench, rule(priority="stat"), "chest")
    with pytest.raises(Refused, match="nobody has tried"):
        publish(bench.flow, ANA, draft.version, "")
    back = change(bench, rule(), "chest")
    assert publish(bench.flow, ANA, back.version, "").number == 2  # the very document that was tried


def test_a_replay_against_another_revision_does_not_count(bench: FlowBench) -> None:
    draft = change(bench, rule())
    tried(bench)
    in_force = save_draft(bench.flow, ANA, draft.yaml(), draft.version).before
    other = {**in_force.to_document(), "rules": [rule("imported", state="shadow")]}
    import_site(bench.flow, BEN, other, "")
    with pytest.raises(Refused, match="bring both together"):
        publish(bench.flow, ANA, draft.version, "")
    draft = rebase(bench.flow, ANA, draft.version)
    assert [each.name for each in draft.site.rules] == ["chest", "imported"]
    assert not draft.stale
    with pytest.raises(Refused, match="nobody has tried"):
        publish(bench.flow, ANA, draft.version, "")
    tried(bench)
    assert publish(bench.flow, ANA, draft.version, "").number == 3


def test_what_both_changed_is_named(bench: FlowBench) -> None:
    document = {**read_draft(bench.flow).document(), "rules": [rule()]}
    import_site(bench.flow, BEN, document, "")
    draft = change(bench, rule(priority="stat"), "chest")
    import_site(bench.flow, BEN, {**document, "rules": [rule(state="shadow")]}, "")
    with pytest.raises(Refused, match="both changed rule chest") as error:
        rebase(bench.flow, ANA, draft.version)
    assert [problem["path"] for problem in error.value.problems] == ["rule chest"]
    mine = rebase(bench.flow, ANA, draft.version, "draft")
    assert (mine.site.rules[0].priority, mine.base) == ("stat", 3)


def test_an_earlier_revision_comes_back_as_a_new_one(bench: FlowBench) -> None:
    document = {**read_draft(bench.flow).document(), "rules": [rule()]}
    import_site(bench.flow, BEN, document, "")
    done = rollback(bench.flow, ANA, 1, "it was too much")
    assert (done.number, done.site.rules, done.diff.lines()[0]) == (3, (), "rule chest: removed")
    assert (revisions(bench)[-1].origin, revisions(bench)[-1].restores) == ("rollback", 1)
    for number, words, kind in ((1, "says what revision 1 says", "conflict"), (9, "no revision 9", "missing")):
        with pytest.raises(Refused, match=words) as error:
            rollback(bench.flow, ANA, number, "")
        assert error.value.kind == kind
    assert bench.events()[-1] == "site.rolled_back"


def test_a_rollback_goes_through_without_the_pipelines_of_then_and_says_so(bench: FlowBench) -> None:
    document = {**read_draft(bench.flow).document(), "rules": [rule(pipeline="passthrough")]}
    import_site(bench.flow, BEN, document, "")
    rollback(bench.flow, ANA, 1, "")
    bench.flow.registry = type(bench.flow.registry)([])
    with pytest.raises(Refused, match="there is no pipeline 'passthrough'"):  # it is in force no more, so this is new
        import_site(bench.flow, BEN, document, "")
    done = rollback(bench.flow, ANA, 2, "")
    assert done.notes == ("rule chest enhances nothing: there is no pipeline named passthrough",)


def test_no_destination_goes_while_something_is_on_its_way(bench: FlowBench) -> None:
    empty = read_draft(bench.flow).document()
    forwarding = {"name": "onward", "state": "live", "when": {"all": []}, "forward_original_to": ["archive"]}
    import_site(bench.flow, BEN, {**empty, "rules": [forwarding]}, "")
    bench.receive(real_file("CT_small.dcm"))
    with pytest.raises(Refused, match=r"not finished: archive \(1\)") as error:
        import_site(bench.flow, ANA, {"destinations": [PACS], "rules": []}, "")
    assert error.value.kind == "conflict"
    draft = save_draft(bench.flow, ANA, {"destinations": [PACS], "rules": []}, 0)
    tried(bench)
    with pytest.raises(Refused, match=r"not finished: archive \(1\)"):
        publish(bench.flow, ANA, draft.version, "")
    assert len(revisions(bench)) == 2
    with bench.flow.database.write() as session:
        session.execute(update(Delivery).values(state="sent"))
    assert publish(bench.flow, ANA, draft.version, "").number == 3


def test_what_is_gone_is_not_down(bench: FlowBench) -> None:
    with bench.flow.database.write() as session:
        outages.begin(session, "archive", "unreachable", "no answer")
    import_site(bench.flow, ANA, {"destinations": [PACS], "rules": []}, "")
    with bench.flow.database.read() as session:
        assert outages.listing(session) == []
