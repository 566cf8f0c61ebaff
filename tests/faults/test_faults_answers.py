"""A PACS with every fault there is, drawn at random: the ledger tells each, and in the end everything is there once."""

import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from faults.scenario import ask, send_all
from support.instances import ct_template
from support.mainflow import destination, site
from support.matrix import Form, RecordRow, forms
from support.nodeproc import Node
from support.scriptedpacs import Act, ScriptedPacs

pytestmark = pytest.mark.faults

RESPONSE_SECONDS = 10.0
"""An answer that this machine held up for longer would be one that the node has not heard."""
DELIVERY = {"backoff_first": 0.1, "backoff_cap": 0.5, "response_timeout": RESPONSE_SECONDS}
FAULTS: list[int | Act] = [0xA700, 0xB000, 0xB007, 0xC000, 0xA900, Act.ABORT, Act.KEEP_AND_ABORT, Act.SILENCE]
EVERYTHING = {"attribute": "SOPClassUID", "exists": True}


def document(port: int) -> str:
    """Originals go to `pacs`, which is not asked to confirm."""
    rule = {"name": "all", "state": "live", "when": EVERYTHING, "forward_original_to": ["pacs"]}
    return site([{**destination("pacs", "PACS", port), "confirm": "none"}], [rule])


@pytest.mark.parametrize("form", forms(9))
def test_every_fault_at_random(form: Form, tmp_path: Path, record_row: RecordRow) -> None:
    draw, template = random.Random(form["seed"]), ct_template(64)
    series, count = form["series"], form["instances"]
    with ScriptedPacs() as pacs:
        pacs.script += [draw.choice(FAULTS) if draw.random() < 0.5 else 0x0000 for _ in range(series * count)]
        injected = Counter(said for said in pacs.script if said != 0)
        with Node(tmp_path / "node", site_yaml=document(pacs.port), delivery=DELIVERY) as node:
            for number in range(series):
                send_all(node, template.series(number + 1, count))
            patience = 30.0 + 2.0 * injected.total() + RESPONSE_SECONDS * injected[Act.SILENCE]
            node.wait_until(lambda: settled(node, series * count), patience, "every series to come to an end")
            refused = sum(each.answer in (0xC000, 0xA900) for each in pacs.asked)
            assert_told(node, pacs, refused)
            retried = node.cli("deliveries", "retry", "--all")
            assert retried["instances"] == refused
            node.wait_until(lambda: sent(node) == series, 60.0, "what was refused to be sent after all")
            assert Counter(state for (state,) in ask(node, "SELECT state FROM delivery_item")) == {
                "sent": series * count
            }
    assert_never_after_an_answer(pacs)
    assert len(pacs.kept) == series * count
    assert sum(pacs.kept.values()) - len(pacs.kept) <= injected[Act.KEEP_AND_ABORT]
    faults = ", ".join(f"{n} {said.name if isinstance(said, Act) else f'{said:04X}'}" for said, n in injected.items())
    record_row(form, node=f"{series * count} instances through {faults}: none lost, none sent after it was stored")


def settled(node: Node, instances: int) -> bool:
    """Whether so many instances are in deliveries, and all of these are sent, or dead letters."""
    query = "SELECT (SELECT count(*) FROM delivery_item) = ? AND NOT EXISTS (SELECT * FROM delivery WHERE state NOT IN"
    return bool(ask(node, f"{query} ('sent', 'failed'))", instances)[0][0])


def sent(node: Node) -> int:
    return int(ask(node, "SELECT count(*) FROM delivery WHERE state = 'sent'")[0][0])


def assert_told(node: Node, pacs: ScriptedPacs, refused: int) -> None:
    """The lists say what was stored with a warning and what was refused, with the reason of each dead letter."""
    (row,) = node.cli("destinations", "list")
    assert row["stored_with_warning"] == sum(each.answer in (0xB000, 0xB007) for each in pacs.asked) > 0
    assert row["refused_instances"] == refused > 0
    dead: list[dict[str, Any]] = node.cli("deliveries", "list", "--state", "failed", "--limit", "500")
    assert len(dead) == row["dead_letters"]
    assert all("instances were refused for good: " in each["reason"] for each in dead)


def assert_never_after_an_answer(pacs: ScriptedPacs) -> None:
    """What the PACS has said that it stored is not sent to it again."""
    stored: set[str] = set()
    for each in pacs.asked:
        assert each.sop_uid not in stored
        if each.answer is not None and (each.answer == 0 or each.answer >> 12 == 0xB):
            stored.add(each.sop_uid)
