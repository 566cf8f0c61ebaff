"""UIDs of derived objects: a function of what determines them, so a second run can only repeat itself.

Form `2.25.<decimal of a UUID>` (PS3.5 B.2), the UUID by name (RFC 9562 version 5) in a namespace of our own.
"""

from typing import Literal
from uuid import UUID, uuid5

from dicomnode.domain.recipe import Recipe, canonical_json

NAMESPACE = UUID("6f9d3c1e-0f1c-5d7e-9a44-0d1c0d3e5a17")
"""Fixed for ever: changing it would give every known output a second UID."""

IMPLEMENTATION_CLASS_UID = "1.2.826.0.1.3680043.8.498.70917215303520116"
"""Implementation Class UID of our files and associations: a fixed registered root, not 2.25 (PS3.5 B.2)."""


def derived_uid(
    kind: Literal["series", "sop"], source_uid: str, recipe: Recipe, *, ordinal: int = 0, generation: int = 0
) -> str:
    """UID of the derived series or SOP instance that `recipe` makes from `source_uid`.

    `ordinal` tells apart several outputs of one source; `generation` is zero unless the pipeline's scope is the
    volume, where a new generation of the source is a new derived series.
    """
    name = canonical_json([kind, source_uid, recipe.canonical(), ordinal, generation])
    return f"2.25.{uuid5(NAMESPACE, name).int}"


def rejection_uid(kind: Literal["series", "sop"], enhancement_key: str, code: str) -> str:
    """UID of the note that rejects what this work made, under a title of this code, and of the series that it is in."""
    return f"2.25.{uuid5(NAMESPACE, canonical_json(['rejection', kind, enhancement_key, code])).int}"
