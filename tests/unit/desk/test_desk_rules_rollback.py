"""A roll-back while deliveries are on their way to a destination that the earlier revision does not have."""

from pathlib import Path

import pytest
from sqlalchemy import update
from support.desks import ANA, IS_CT, PACS, tried
from support.flowbench import FlowBench
from support.rulesets import real_file

from dicomnode.db.models import Delivery, SiteRevision
from dicomnode.desk.refused import Refused
from dicomnode.desk.rules.draft import read_draft
from dicomnode.desk.rules.editing import remove_destination
from dicomnode.desk.rules.publish import import_site, publish, rollback
from dicomnode.desk.rules.revisions import diff_named

WRONG = {**PACS, "name": "wrong", "port": 9}
ONWARD = {"name": "onward", "state": "live", "when": IS_CT, "forward_original_to": ["wrong"]}
NOTE = "kept, as deliveries to them are not finished: wrong (1)"


@pytest.fixture
def bench(tmp_path: Path) -> FlowBench:
    """Revision 1 has pacs and archive; revision 2 forwards to `wrong` as well, and a series came."""
    bench = FlowBench(tmp_path / "node")
    document = read_draft(bench.flow).document()
    import_site(bench.flow, ANA, {"destinations": [*document["destinations"], WRONG], "rules": [ONWARD]}, "one more")
    bench.receive(real_file("CT_small.dcm"))
    return bench


def finish(bench: FlowBench) -> None:
    with bench.flow.database.write() as session:
        session.execute(update(Delivery).values(state="sent"))


def test_it_goes_through_and_says_what_it_kept(bench: FlowBench) -> None:
    done = rollback(bench.flow, ANA, 1, "it was wrong")
    assert [each.name for each in done.site.destinations] == ["pacs", "archive", "wrong"]
    assert (done.site.rules, done.notes) == ((), (NOTE,))
    assert done.diff.lines()[0] == "rule onward: removed"
    with bench.flow.database.read() as session:
        row = session.get_one(SiteRevision, done.number)
        assert (row.restores, row.comment) == (1, f"it was wrong; {NOTE}")
    assert diff_named(bench.flow, "1", "in force").lines()[0] == "destination wrong: added"


def test_a_second_one_takes_away_what_it_kept_once_that_is_finished(bench: FlowBench) -> None:
    rollback(bench.flow, ANA, 1, "")
    with pytest.raises(Refused, match=r"revision 3 is in force and says what revision 1 says; kept.*wrong \(1\)"):
        rollback(bench.flow, ANA, 1, "")
    finish(bench)
    done = rollback(bench.flow, ANA, 1, "")
    assert (done.diff.lines()[0], done.notes) == ("destination wrong: removed", ())
    assert diff_named(bench.flow, "1", "in force").lines() == []


def test_what_it_kept_goes_by_an_ordinary_edit(bench: FlowBench) -> None:
    rollback(bench.flow, ANA, 1, "")
    draft = remove_destination(bench.flow, ANA, "wrong", read_draft(bench.flow).version)
    tried(bench)
    with pytest.raises(Refused, match=r"not finished: wrong \(1\)"):
        publish(bench.flow, ANA, draft.version, "away with it")
    finish(bench)
    done = publish(bench.flow, ANA, draft.version, "away with it")
    assert [each.name for each in done.site.destinations] == ["pacs", "archive"]


def test_a_name_that_is_another_ones_again_is_for_people_to_settle(bench: FlowBench) -> None:
    finish(bench)
    other = {**WRONG, "name": "WRONG"}
    import_site(bench.flow, ANA, {"destinations": [other], "rules": []}, "")
    import_site(bench.flow, ANA, {"destinations": [WRONG], "rules": [ONWARD]}, "")
    with bench.flow.database.write() as session:
        session.execute(update(Delivery).values(state="pending"))
    with pytest.raises(Refused, match=r"not finished: wrong \(1\)"):
        rollback(bench.flow, ANA, 3, "")
