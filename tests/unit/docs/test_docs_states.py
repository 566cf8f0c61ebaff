"""docs/reference/states.md tells of every arrow of every state machine, in the words of the tables themselves."""

import runpy
from pathlib import Path

ROOT = Path(__file__).parents[3]


def test_every_arrow_is_in_the_reference() -> None:
    writer = runpy.run_path(str(ROOT / "scripts" / "write_states.py"))
    page = (ROOT / "docs" / "reference" / "states.md").read_text(encoding="utf-8")
    _, mark, tables = page.partition(writer["MARK"])
    assert mark
    assert len(writer["machines"]()) >= 5
    assert tables == writer["tables"](), "run `python scripts/write_states.py`"


def test_every_arrow_says_why() -> None:
    machines = runpy.run_path(str(ROOT / "scripts" / "write_states.py"))["machines"]()
    assert all(len(arrow.why) > 5 for machine in machines for arrow in machine.arrows)
