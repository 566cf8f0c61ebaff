"""The story: what counts as success, and the words for every way it can end."""

from dataclasses import replace

import numpy as np
import pytest

from dicomnode.cli.demo.noise import Comparison, Region
from dicomnode.cli.demo.story import Delivered, Guard, Story
from dicomnode.cli.demo.telling import tell, tell_noise

ORIGINALS = Delivered("originals", 3, 3, {"0000H": 3}, 0.4, "sent", "")
DERIVED = Delivered("derived instances", 3, 3, {"0000H": 2, "B000H": 1}, 2.5, "sent", "")
GOOD = Story(
    received=3,
    complete_because="all 3 images the modality announced have arrived",
    complete_after=1.1,
    rule="low dose chest CT",
    matched=True,
    outcome="matches: ct-denoise",
    explanation=("Modality equals CT: seen CT (3)", "instance_count is at least 3: seen 3"),
    pipeline="ct-denoise 1.1.0",
    params={"strength": 0.6, "texture": 1.0},
    device="cpu",
    state="done",
    reason="3 derived instances",
    network_seconds=1.25,
    derived=3,
    derived_after=2.2,
    derived_series_uid="1.2.3",
    derived_description="Chest low dose [AI denoise]",
    guards=(
        Guard("envelope", None, None, "", "pass", ""),
        Guard("residual_bound", 1.5, 3.0, "sigma", "flag", "more than usual"),
    ),
    deliveries=(ORIGINALS, DERIVED),
    audit_ok=True,
    audit_events=14,
)


def text(story: Story) -> str:
    return "\n".join(f"{label}|{words}" for label, words in tell(story, 0.25))


def test_a_good_story_names_every_step_with_its_reason() -> None:
    assert text(GOOD).splitlines() == [
        "received|3 instances in 0.2 s",
        "complete|after 1.1 s, because all 3 images the modality announced have arrived",
        'rule|"low dose chest CT" matched, because',
        "|  Modality equals CT: seen CT (3)",
        "|  instance_count is at least 3: seen 3",
        "enhanced|by ct-denoise 1.1.0 (strength 0.6, texture 1.0) on cpu in 1.2 s",
        "guards|envelope: passed",
        "|residual bound: flagged, 1.5 sigma in the worst slice (limit 3); more than usual",
        "derived|3 instances in the same study, series description",
        '|  "Chest low dose [AI denoise]"',
        "delivered|3/3 originals to the PACS, status 0000H on 3; the last after 0.4 s",
        "delivered|3/3 derived instances to the PACS, status 0000H on 2, B000H on 1; the last after 2.5 s",
        "audit|verified: 14 events, each sealed to the one before it",
    ]
    assert GOOD.succeeded


REFUSED = replace(DERIVED, sent=1, state="failed", reason="2 of 3 instances were refused for good")
BAD = {
    "withheld": (replace(GOOD, state="withheld", reason="withheld: residual_bound", derived=0), "withheld: residual"),
    "unmatched": (
        replace(GOOD, matched=False, outcome="does not match: Modality", pipeline="", state="", reason="", derived=0),
        "does not match",
    ),
    "undelivered": (replace(GOOD, deliveries=(ORIGINALS, REFUSED)), "2 of 3 instances were refused"),
    "tampered": (replace(GOOD, audit_ok=False), "the audit log does not hold"),
    "empty": (replace(GOOD, derived=0), "nothing was derived"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_went_wrong_is_no_success_and_is_said(name: str) -> None:
    story, words = BAD[name]
    assert not story.succeeded
    assert words in story.trouble()


def test_failures_show_in_the_told_story_too() -> None:
    assert "ended|withheld: withheld: residual_bound" in text(BAD["withheld"][0])
    unmatched = text(BAD["unmatched"][0])
    assert '"low dose chest CT" did not match' in unmatched
    assert "originals|only: does not match: Modality" in unmatched
    assert "enhanced" not in unmatched
    assert "1/3 derived instances" in text(BAD["undelivered"][0])
    assert "does NOT hold" in text(BAD["tampered"][0])


def test_noise_is_told_with_its_place_and_size() -> None:
    image = np.zeros((64, 64))
    image[:, ::2] = 20.0
    told = [words for _, words in tell_noise(Comparison(image, image / 2, image / 4, Region(5, 6)), 9, 0.5)]
    assert told[0].startswith("10.0 HU before, 5.0 HU after; 2.5 HU at full dose")
    assert told[1].startswith("10.0 HU before, 5.0 HU after; 2.5 HU at full dose")
    assert "image 9, 20 x 20 px (10.0 mm square) from row 5," in told[2]
    assert "column 6" in told[3]
