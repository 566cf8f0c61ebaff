"""Which instances of a series a pipeline sees, and why the others are left out."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pydicom import Dataset

from dicomnode.domain.facts import SeriesFacts
from dicomnode.enhance.api import Envelope, Pipeline
from dicomnode.enhance.errors import PipelineFault, SeriesRefused
from dicomnode.enhance.images import SourceImage
from dicomnode.enhance.stack import Stack, stacks


@dataclass(frozen=True)
class Selection:
    """The images to enhance, what the envelope asks of each, and the reason for each SOP instance left out."""

    images: tuple[SourceImage, ...]
    facts: tuple[SeriesFacts, ...]
    skipped: dict[str, str]

    def plan(self, wanted: set[str] | None) -> list[tuple[Stack, list[int]]]:
        """Each stack with the ascending indices of its wanted slices; a stack without any is left out."""
        plan = []
        for stack in stacks(self.images):
            indices = [i for i, source in enumerate(stack) if wanted is None or source.sop_uid in wanted]
            if indices:
                plan.append((stack, indices))
        return plan


def select(
    pipeline: Pipeline, sources: Sequence[SourceImage], instance_facts: Callable[[Dataset], SeriesFacts]
) -> Selection:
    """Ask of each instance whether it is a single-frame image in the pipeline's units, then `pipeline.skips`.

    Raises SeriesRefused with the reasons when nothing is left, PipelineFault when `skips` fails.
    """
    kept: list[tuple[SourceImage, SeriesFacts]] = []
    skipped: dict[str, str] = {}
    for source in sources:
        reason = _not_for_a_network(pipeline, source.header)
        facts = None if reason else instance_facts(source.header)
        if facts is not None:
            reason = _skip_reason(pipeline, facts)
        if facts is None or reason:
            skipped[source.sop_uid] = reason
        else:
            kept.append((source, _asked_by(pipeline.envelope, facts)))
    if not kept:
        raise SeriesRefused(f"no instance of the series can be enhanced: {_counted(skipped) or 'there is none'}")
    return Selection(tuple(source for source, _ in kept), tuple(facts for _, facts in kept), skipped)


def _skip_reason(pipeline: Pipeline, facts: SeriesFacts) -> str:
    try:
        return pipeline.skips(facts) or ""
    except Exception as error:
        text = f"{type(error).__name__}: {error}"
        raise PipelineFault(f"pipeline {pipeline.name} failed to judge an instance: {text}") from error


def _asked_by(envelope: Envelope, facts: SeriesFacts) -> SeriesFacts:
    """Only what the envelope names: the whole facts of 2,000 instances would fill hundreds of megabytes."""
    names = {*envelope.text, *envelope.number, *envelope.required}
    return SeriesFacts({name: facts.attributes[name] for name in names if name in facts.attributes}, {})


def _not_for_a_network(pipeline: Pipeline, header: Dataset) -> str:
    try:
        rows, columns = int(header.get("Rows") or 0), int(header.get("Columns") or 0)
        samples, frames = int(header.get("SamplesPerPixel") or 1), int(header.get("NumberOfFrames") or 1)
    except Exception:  # an element with a broken value raises what its VR's reader raises
        return "its header cannot be read"
    if rows < 1 or columns < 1:
        return "not an image"
    if frames > 1:
        return "multi-frame images are not enhanced yet"
    palette = header.get("PhotometricInterpretation") == "PALETTE COLOR"
    if pipeline.units == "physical" and (samples > 1 or palette):
        return "a colour image has no physical units"
    return ""


def _counted(skipped: dict[str, str]) -> str:
    reasons = list(skipped.values())
    return "; ".join(f"{reason} ({reasons.count(reason)})" for reason in dict.fromkeys(reasons))
