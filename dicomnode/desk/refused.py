"""Something that was asked for and is not done."""

from typing import Literal


class Refused(Exception):
    """The message says why, and what to do, in plain words for whoever asked.

    `kind`  `missing`: there is no such thing; `conflict`: not in its present state, or somebody was quicker;
            `invalid`: what was sent makes no sense. `problems`: a finding for each place, where there are several.
    """

    def __init__(
        self,
        message: str,
        kind: Literal["missing", "conflict", "invalid"] = "invalid",
        problems: tuple[dict[str, object], ...] = (),
    ) -> None:
        super().__init__(message)
        self.kind = kind
        self.problems = problems
