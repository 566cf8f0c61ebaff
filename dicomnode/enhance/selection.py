"""Which instances of a series a pipeline sees, and why the others are left out."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from pydicom import Dataset

from dicomnode.domain.facts import SeriesFacts
from dicomnode.enhance.api import Pipeline
from dicomnode.enhance.errors import SeriesRefused
from dicomnode.enhance.images import SourceImage
from dicomnode.enhance.note import Note, note_of
from dicomnode.enhance.stack import Stack, stacks

_NOTHING: Mapping[str, Note] = {}

Plan = list[tuple[Stack, list[int]]]
"""Stacks with the ascending indices of those of their slices that are to be enhanced."""


@dataclass(frozen=True)
class Selection:
    """The images to enhance, what was noted of each, and the reason for each SOP instance left out."""

    images: tuple[SourceImage, ...]
    notes: tuple[Note, ...]
    skipped: dict[str, str]

    @property
    def facts(self) -> tuple[SeriesFacts, ...]:
        """Of each image, what the envelope asks for."""
        return tuple(note.facts for note in self.notes)

    def stacks(self) -> list[Stack]:
        """The images as they lie in space."""
        spots = {image.sop_uid: note.spot for image, note in zip(self.images, self.notes, strict=True)}
        return stacks(self.images, spots)

    def plan(self, wanted: set[str] | None) -> Plan:
        """Each stack with its wanted slices; a stack without any is left out."""
        plan = []
        for stack in self.stacks():
            indices = [i for i, source in enumerate(stack) if wanted is None or source.sop_uid in wanted]
            if indices:
                plan.append((stack, indices))
        return plan


def select(
    pipeline: Pipeline,
    sources: Sequence[SourceImage],
    instance_facts: Callable[[Dataset], SeriesFacts],
    notes: Mapping[str, Note] = _NOTHING,
) -> Selection:
    """Judge each instance by the note there is of it, else by its header (`note_of`).

    Raises SeriesRefused with the reasons when nothing is left, PipelineFault when the pipeline fails to judge.
    """
    kept: list[tuple[SourceImage, Note]] = []
    skipped: dict[str, str] = {}
    for source in sources:
        note = notes.get(source.sop_uid) or note_of(pipeline, source.header, instance_facts)
        if note.skip:
            skipped[source.sop_uid] = note.skip
        else:
            kept.append((source, note))
    if not kept:
        raise SeriesRefused(f"no instance of the series can be enhanced: {_counted(skipped) or 'there is none'}")
    return Selection(tuple(source for source, _ in kept), tuple(note for _, note in kept), skipped)


def _counted(skipped: dict[str, str]) -> str:
    reasons = list(skipped.values())
    return "; ".join(f"{reason} ({reasons.count(reason)})" for reason in dict.fromkeys(reasons))
