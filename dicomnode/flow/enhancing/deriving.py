"""enhance -> derive: what the writer is told about an enhanced slice."""

from collections.abc import Callable, Mapping

from pydicom import Dataset

from dicomnode.derive import Derivation, DerivedInstance, DerivedSeries, SourceReference
from dicomnode.derive.instance import derive_instance
from dicomnode.domain.recipe import Recipe
from dicomnode.domain.verdict import Verdict
from dicomnode.enhance.api import Pipeline
from dicomnode.enhance.images import Enhanced, EnhancedSlice, SourceImage
from dicomnode.flow.context import Flow


def derivation_of(
    flow: Flow,
    pipeline: Pipeline,
    recipe: Recipe,
    series: DerivedSeries,
    *,
    flag_reason: str | None = None,
    generation: int = 0,
) -> Derivation:
    """How the outputs of one job are written."""
    return Derivation(
        recipe=recipe,
        series=series,
        codes=pipeline.derivation,
        description=pipeline.derivation[-1].meaning if pipeline.derivation else pipeline.title,
        ae_title=flow.settings.dicom.ae_title,
        same_grid=pipeline.same_grid,
        flag_reason=flag_reason,
        generation=generation,
    )


def flags(result: Enhanced) -> str | None:
    """Why the series is flagged, in one line for ImageComments; None if it is not."""
    reasons = [figure.reason for figure in result.figures if figure.verdict is Verdict.FLAG]
    return "; ".join(dict.fromkeys(reasons)) or None


def vetoes(result: Enhanced) -> str:
    """Why the series is withheld, in one line."""
    reasons = [figure.reason for figure in result.figures if figure.verdict is Verdict.WITHHOLD]
    return "; ".join(dict.fromkeys(reasons)) or "a guard vetoed"


def derive_slice(
    derivation: Derivation,
    enhanced: EnhancedSlice,
    sources: Mapping[str, SourceImage],
    read: Callable[[], Dataset],
) -> DerivedInstance:
    """The derived instance of one enhanced slice. `read` gives the source's whole data set, if it is needed.

    Raises CannotDerive, BrokenInstance and what reading raises.
    """
    source = sources[enhanced.sop_uid]
    syntax = getattr(source.header, "file_meta", Dataset()).get("TransferSyntaxUID")
    compressed = syntax is not None and syntax.is_compressed
    others = [uid for uid in enhanced.contributors if uid != enhanced.sop_uid]
    return derive_instance(
        source.header,
        enhanced.pixels,
        derivation,
        units=enhanced.units,
        source_pixels=source.load() if "PixelPaddingValue" in source.header else None,
        source_length=len(read().PixelData) if compressed else None,
        neighbours=[SourceReference(str(sources[uid].header.SOPClassUID), uid) for uid in others],
    )
