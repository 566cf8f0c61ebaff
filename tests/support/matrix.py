"""The scoreboard of faults: what each check is, how much of it runs in CI and by `make faults`, and its report.

Numbers are those of the checks; each row's rounds stand here and nowhere else.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

KEY = "faults matrix"
"""Under which a test's report carries its row, from whatever process it ran in."""

Figures = Mapping[str, float]
RecordRow = Callable[..., None]


@dataclass(frozen=True)
class Check:
    """A row. `short` and `long`: its figures in CI and in the long run; `files`: the tests that decide it."""

    what: str
    files: tuple[str, ...]
    short: Figures = field(default_factory=dict)
    long: Figures = field(default_factory=dict)


CHECKS: dict[int, Check] = {
    1: Check(
        "kill -9 at random moments of a receive",
        ("test_faults_kill_receive", "test_faults_kill_node", "test_faults_receiver_killed"),
        short={"instances": 300, "senders": 3, "rounds": 2},
        long={"instances": 2000, "senders": 3, "rounds": 25},
    ),
    2: Check("system calls: data sync, then the response", ("test_faults_order", "test_faults_commitment_kept")),
    3: Check("disk full, then space again", ("test_faults_disk_full", "test_store_disk_full")),
    4: Check("inodes exhausted; file system read-only", ("test_faults_few_inodes", "test_store_disk_full")),
    5: Check(
        "the database stops, hangs or restarts during a receive",
        ("test_faults_database_away", "test_faults_postgresql_away"),
        short={"seconds": 5},
        long={"seconds": 60},
    ),
    6: Check(
        "kill -9 in every named stage of a job and of a delivery",
        ("test_faults_kill_worker", "test_faults_kill_stages"),
        short={"rounds": 2},
        long={"rounds": 50},
    ),
    7: Check(
        "kill -9 while the PACS holds its C-STORE-RSP",
        ("test_faults_held_response",),
        short={"rounds": 2, "instances": 8},
        long={"rounds": 25, "instances": 40},
    ),
    8: Check(
        "the PACS is away, 100 series waiting",
        ("test_faults_outage",),
        short={"seconds": 0, "series": 100, "instances": 2},
        long={"seconds": 180, "series": 100, "instances": 20},
    ),
    9: Check(
        "A700, B000, C000, aborts mid-series, silence, drawn at random",
        ("test_faults_answers",),
        short={"series": 6, "instances": 6, "seed": 9},
        long={"series": 60, "instances": 20, "seed": 9},
    ),
    10: Check(
        "storage commitment for a modality: unknown, damaged, away, killed in between",
        ("test_faults_commitment",),
        short={"instances": 6, "rounds": 1},
        long={"instances": 200, "rounds": 10},
    ),
    11: Check(
        "storage commitment to the PACS: committed by its report alone, whenever it comes; killed in between",
        ("test_faults_confirmed",),
        short={"instances": 4, "rounds": 1},
        long={"instances": 100, "rounds": 10},
    ),
    12: Check(
        "50 stalled half-PDUs and 300 silent sockets, a C-ECHO every 0.5 s",
        ("test_faults_stalled",),
        short={"half_request": 20, "half_data": 20, "drip": 10, "silent": 300,
               "artim_seconds": 3, "pdu_seconds": 4},
        long={"half_request": 20, "half_data": 20, "drip": 10, "silent": 300, "seconds": 90,
              "artim_seconds": 10, "pdu_seconds": 30},
    ),
    13: Check(
        "PDU length 0xFFFFFFFF; tiny PDVs; a command without end",
        ("test_faults_oversized",),
        short={"mebibytes": 96, "tiny": 100_000},
        long={"mebibytes": 512, "tiny": 1_000_000},
    ),
    14: Check(
        "64 associations, and connect/close storms; over the limit A-ASSOCIATE-RJ 2/3/2",
        ("test_faults_crowd",),
        short={"associations": 64, "instances": 20, "storm": 300},
        long={"associations": 64, "instances": 100, "storm": 1000},
    ),
    15: Check(
        "20 senders, the same study 5 times each; the same UID with other pixels",
        ("test_faults_repeats",),
        short={"senders": 20, "times": 5, "instances": 4},
        long={"senders": 20, "times": 5, "instances": 100},
    ),
    16: Check(
        "a late instance after completion; kills in the quiet time",
        ("test_faults_late",),
        short={"rounds": 1, "slices": 4},
        long={"rounds": 10, "slices": 12},
    ),
    17: Check("hundreds of malformed objects between good ones", ("test_faults_malformed",)),
    18: Check(
        "a pipeline or a decoder that crashes, hangs, raises or eats memory",
        ("test_faults_poison", "test_faults_hog"),
    ),
    19: Check("bombs: deflate, RLE, frames, nesting", ("test_faults_bombs", "test_faults_malformed")),
    20: Check(
        "protocol fuzz",
        ("test_faults_fuzz",),
        short={"seconds": 34, "clients": 2, "rate": 150},
        long={"seconds": 600, "clients": 2, "rate": 150},
    ),
    21: Check(
        "a long series, a huge multi-frame, 50 aborted transfers",
        ("test_faults_large",),
        short={"instances": 1000, "rows": 64, "frames_mebibytes": 300, "aborts": 50},
        long={"instances": 10_000, "rows": 512, "frames_mebibytes": 2048, "aborts": 50},
    ),
    22: Check(
        "a soak with churn and restarts",
        ("test_faults_soak",),
        short={"seconds": 15, "senders": 2},
        long={"seconds": 300, "senders": 3},
    ),
    23: Check(
        "two nodes on one database: one killed, one paused past its lease",
        ("test_faults_paused_sender", "test_faults_two_nodes"),
        short={"rounds": 1, "instances": 90, "series": 12, "slices": 4},
        long={"rounds": 10, "instances": 300, "series": 40, "slices": 12},
    ),
    24: Check(
        "the clock jumps by a day, forth and back",
        ("test_faults_clock",),
        short={"jumps": 4},
        long={"jumps": 40},
    ),
    25: Check(
        "audit rows edited, deleted, swapped, put in, the tail cut, all sealed anew",
        ("test_audit_tampering", "test_audit_tampering_property", "test_audit_anchors"),
    ),
    26: Check(
        "audit completeness; audit messages; a collector that is away",
        ("test_web_audit_completeness", "test_audit_kinds", "test_audit_message", "test_audit_copies"),
    ),
    27: Check("DICOM TLS: whom it refuses", ("test_faults_tls",), short={"rounds": 1}, long={"rounds": 20}),
    28: Check("spoofed AE titles and addresses", ("test_faults_spoofed",), short={"rounds": 1}, long={"rounds": 50}),
}  # fmt: skip


@dataclass(frozen=True)
class Form:
    """One form of a check: its figures by name, as attributes are."""

    check: int
    is_long: bool
    figures: Figures

    def __getitem__(self, name: str) -> int:
        return int(self.figures[name])

    def __str__(self) -> str:
        return ", ".join(f"{value:g} {name.replace('_', ' ')}" for name, value in self.figures.items())


def forms(check: int, timeout: int = 1200) -> list[Any]:
    """Parameters for a test: the short form, and the long one with the mark `long` and a limit in seconds."""
    row = CHECKS[check]
    marks = [pytest.mark.long, pytest.mark.timeout(timeout)]
    return [
        pytest.param(Form(check, False, row.short), id="short"),
        pytest.param(Form(check, True, row.long), id="long", marks=marks),
    ]


@dataclass
class _Tally:
    outcomes: dict[str, int] = field(default_factory=dict)
    rows: list[dict[str, str]] = field(default_factory=list)


def report(reports: Iterable[pytest.TestReport]) -> Iterator[str]:
    """Lines of the matrix: check, what, result; below it, for each form that ran, rounds and what each target did."""
    tallies: dict[int, _Tally] = {}
    for found in reports:
        for number in _checks_of(found):
            tally = tallies.setdefault(number, _Tally())
            tally.outcomes[found.outcome] = tally.outcomes.get(found.outcome, 0) + 1
        for name, value in found.user_properties:
            if name == KEY:
                row = json.loads(str(value))
                tallies.setdefault(row.pop("check"), _Tally()).rows.append(row)
    for number, tally in sorted(tallies.items()):
        result = ", ".join(f"{count} {outcome}" for outcome, count in sorted(tally.outcomes.items()))
        yield f"{number:>3}  {CHECKS[number].what}: {result}"
        for row in tally.rows:
            yield f"     [{row.pop('rounds')}]"
            yield from (f"       {target:<9} {text}" for target, text in row.items())


def _checks_of(found: pytest.TestReport) -> list[int]:
    """The checks that this test decides: by its file, and where its row names one, by that."""
    named = [json.loads(str(value))["check"] for name, value in found.user_properties if name == KEY]
    stem = found.nodeid.split("::")[0].rsplit("/", 1)[-1].removesuffix(".py")
    return named or [number for number, check in CHECKS.items() if stem in check.files]
