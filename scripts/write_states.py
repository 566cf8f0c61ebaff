"""Write the tables of docs/reference/states.md from `dicomnode.domain.states`: `python scripts/write_states.py`."""

from pathlib import Path

from dicomnode.domain import states
from dicomnode.domain.states import Machine

PAGE = Path(__file__).parents[1] / "docs" / "reference" / "states.md"
MARK = "<!-- from here on written by scripts/write_states.py -->\n"


def machines() -> list[Machine]:
    """All of them, in their order."""
    return [each for each in vars(states).values() if isinstance(each, Machine)]


def tables() -> str:
    """A table for each machine: every arrow, with who draws it and why."""
    return "".join(map(_table, machines()))


def _table(machine: Machine) -> str:
    rows = [f"| {arrow.before or '(new)'} | {arrow.after} | {arrow.why} |" for arrow in machine.arrows]
    final = ", ".join(f"`{state}`" for state in sorted(machine.final()))
    end = f"\nNo arrow leaves {final}.\n" if final else "\nEvery state can be left.\n"
    head = f"\n## {machine.name[0].upper()}{machine.name[1:]}\n\n| from | to | why |\n|---|---|---|\n"
    return head + "\n".join(rows) + "\n" + end


def main() -> None:
    """Write the page anew below its mark."""
    written, _, _ = PAGE.read_text(encoding="utf-8").partition(MARK)
    PAGE.write_text(written + MARK + tables(), encoding="utf-8")


if __name__ == "__main__":
    main()
