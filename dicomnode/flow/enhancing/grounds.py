"""What a derived instance follows from: with the same grounds and the same slices it has the same bytes."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dicomnode import __version__
from dicomnode.derive import Derivation
from dicomnode.domain.recipe import canonical_json

if TYPE_CHECKING:
    from dicomnode.enhance.loaded import LoadedPipeline


@dataclass(frozen=True)
class Grounds:
    """All but the slices: recipe, naming, words, writer and network. A flag is not among them: it comes later."""

    digest: str

    @classmethod
    def of(cls, loaded: "LoadedPipeline", derivation: Derivation) -> "Grounds":
        told = [
            derivation.recipe.canonical(),
            derivation.series.to_json(),
            [[code.value, code.scheme, code.meaning] for code in derivation.codes],
            derivation.description,
            derivation.ae_title,
            [derivation.same_grid, derivation.synthetic, derivation.generation],
            [__version__, *loaded.means],
        ]
        return cls(hashlib.sha256(canonical_json(told).encode()).hexdigest())

    def key(self, window: Iterable[tuple[str, str]]) -> str:
        """SHA-256 (hex) of these grounds and of every slice that the network saw, in its order, by SOP instance UID and
        hash: the slice that it was made for is the one in the middle."""
        return hashlib.sha256(canonical_json([self.digest, *window]).encode()).hexdigest()
