"""The engine: one per worker process, owner of one device, keeper of warm models. Importing it loads no torch."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pydicom import Dataset

from dicomnode.domain.facts import SeriesFacts
from dicomnode.enhance.api import PipelineParams
from dicomnode.enhance.images import Enhanced, EnhancedSlice, SourceImage
from dicomnode.enhance.registry import Registry

if TYPE_CHECKING:
    from dicomnode.enhance.loaded import LoadedPipeline

__all__ = ["Engine", "Enhanced", "EnhancedSlice", "SourceImage"]


class Engine:
    """Runs pipelines on one device.

    `device` is "cpu", "cuda:0" and so on, or "auto": the first CUDA device, else the CPU. `instance_facts` gives the
    facts of one instance, which `Pipeline.skips` reads. `batch_size` is the number of slices a network sees at once.
    """

    def __init__(
        self,
        registry: Registry,
        device: str = "auto",
        *,
        instance_facts: Callable[[Dataset], SeriesFacts],
        batch_size: int | None = None,
    ) -> None:
        self.registry = registry
        self.instance_facts = instance_facts
        self.device = device
        self.batch_size = batch_size

    def prepare(self, pipeline_name: str) -> "LoadedPipeline":
        """The pipeline with its network on the device: verified, golden case checked, kept warm."""
        raise NotImplementedError

    def enhance(
        self,
        loaded: "LoadedPipeline",
        sources: Sequence[SourceImage],
        params: PipelineParams | Mapping[str, Any],
        *,
        facts: SeriesFacts,
        wanted: set[str] | None = None,
        emit: Callable[[EnhancedSlice], None] | None = None,
        on_progress: Callable[[int, int], None] | None = None,
        checkpoint: Callable[[str], None] = lambda stage: None,
    ) -> Enhanced:
        """Enhance a series. See the docstring to come for the order of events."""
        raise NotImplementedError
