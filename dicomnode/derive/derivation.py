"""What is the same for every instance of one job, and what comes out of it."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Protocol

from dicomnode.derive.series import DerivedSeries
from dicomnode.domain.recipe import Recipe
from dicomnode.domain.writer_profile import WriterProfile

if TYPE_CHECKING:
    from dicomnode.derive.template import Template


class Coded(Protocol):
    """A coded concept (PS3.16): anything with these three texts."""

    @property
    def value(self) -> str: ...
    @property
    def scheme(self) -> str: ...
    @property
    def meaning(self) -> str: ...


@dataclass(frozen=True)
class Derivation:
    """How one job derives its instances.

    `codes` go to DerivationCodeSequence (CID 7203 first). `description` is the pipeline's own words for what it does
    ("noise reduction by deep learning"); name, version and weights are added by the writer. `ae_title` is the node's.
    `same_grid` is false for super-resolution: the pixels then have other Rows and Columns than the source.
    `flag_reason` goes to ImageComments. `synthetic` says that the pipeline invents content (SyntheticData YES).
    `generation` is the series' generation for pipelines of scope "volume", else 0.
    """

    recipe: Recipe
    series: DerivedSeries
    codes: Sequence[Coded]
    description: str
    ae_title: str
    same_grid: bool = True
    flag_reason: str | None = None
    synthetic: bool = False
    generation: int = 0

    @cached_property
    def templates(self) -> "dict[Hashable, Template]":
        """What was worked out for the sources so far, by what they agree in: see `template`."""
        return {}

    @cached_property
    def profile(self) -> WriterProfile:
        """The rule's writer options: read from the recipe, so that they cannot differ from what the UIDs say."""
        return WriterProfile.model_validate(dict(self.recipe.writer_profile))


@dataclass(frozen=True)
class SourceReference:
    """A source image that contributed besides the one the instance is derived from: a neighbouring slice."""

    sop_class_uid: str
    sop_instance_uid: str


@dataclass(frozen=True)
class DerivedInstance:
    """A derived SOP instance as it is staged, delivered and resent: `file_bytes` is the complete Part 10 file."""

    sop_instance_uid: str
    sop_class_uid: str
    transfer_syntax_uid: str
    source_sop_uid: str
    file_bytes: bytes
