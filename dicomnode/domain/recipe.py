"""A recipe: everything that determines the bytes of a derived series, apart from its source."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


def canonical_json(value: Any) -> str:
    """JSON with one spelling: sorted keys, no spaces, non-ASCII kept; equal values give equal text."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


@dataclass(frozen=True)
class Recipe:
    """What an enhancement is made of: two equal recipes on one series are the same work.

    `weights_sha256` is empty for a pipeline without weights. `params` are complete (defaults filled in), so that
    a changed default is a changed recipe. `writer_profile` is the dumped `WriterProfile` of the rule.
    """

    pipeline: str
    version: str
    weights_sha256: str = ""
    params: Mapping[str, Any] = field(default_factory=dict)
    writer_profile: Mapping[str, Any] = field(default_factory=dict)

    def canonical(self) -> str:
        """The recipe as canonical JSON: the part of every derived UID's key that is not the source."""
        return canonical_json(
            {
                "pipeline": self.pipeline,
                "version": self.version,
                "weights": self.weights_sha256,
                "params": dict(self.params),
                "writer": dict(self.writer_profile),
            }
        )

    def digest(self) -> str:
        """SHA-256 (hex) of the canonical form: fits an index where the whole text would not."""
        return hashlib.sha256(self.canonical().encode()).hexdigest()
