"""What `models train` says; nothing with `--json`. Names no patient, UID or date."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dicomnode.cli.common import print_table
from dicomnode.cli.models.copies import Index
from dicomnode.cli.models.survey import survey_rows


class Telling:
    """Speaks unless `quiet`."""

    def __init__(self, *, quiet: bool) -> None:
        self.quiet = quiet

    def say(self, line: str) -> None:
        if not self.quiet:
            print(line, flush=True)

    def survey(self, document: Mapping[str, Any]) -> None:
        """What a folder holds, and why the rest is left out."""
        for line in survey_rows(document):
            self.say(line)
        if document["left_out"] and not self.quiet:
            print_table(document["left_out"], False, "")

    def split(self, index: Index) -> None:
        """What was copied, and who is held out."""
        slices = sum(copy.slices for copy in index.copies)
        patients = "1 patient" if len(index.patients) == 1 else f"{len(index.patients)} patients"
        self.say(f"{slices} slices in {len(index.copies)} volumes of {patients}, as arrays without a name")
        for reason, count in index.left_out.items():
            self.say(f"left out: {count} volumes, {reason}")
        if index.held_out:
            self.say(f"held out for validation: {', '.join(index.held_out)}")
        else:
            self.say("held out: nobody, since there is one patient alone; slices from the middle of the body instead.")
            self.say("What is measured on them says nothing about other patients.")

    def result(self, pipeline: str, name: str, weights: Path, figures: Mapping[str, Any], kept: bool) -> None:
        """The figures, and how to put the model live."""
        if self.quiet:
            return
        print_table(figures["table"], False, "")
        self.say(f"\nwrote {weights}, with its card and its guards' limits beside it")
        self.say(f"the copies are {'kept' if kept else 'deleted'}; nothing has left this machine")
        self.say("to put it live:")
        self.say(f"  1. read the card, and compare: dicomnode models compare {pipeline} {weights} --data DIR")
        self.say(f"  2. dicomnode models import {weights}")
        self.say(f"  3. restart the node; name {name} in a rule in state shadow, look at it, then set the rule live")
