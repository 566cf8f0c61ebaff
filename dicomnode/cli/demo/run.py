"""The steps of the demonstration between starting and stopping: simulate, send, wait, tell, compare."""

from pathlib import Path
from typing import Any

from pydicom import Dataset, dcmread

from dicomnode.cli.common import fail
from dicomnode.cli.demo.folder import DemoFolder
from dicomnode.cli.demo.node import DemoNode
from dicomnode.cli.demo.noise import SIZE, Comparison, compare
from dicomnode.cli.demo.pacs import Pacs
from dicomnode.cli.demo.picture import draw
from dicomnode.cli.demo.sending import send_series
from dicomnode.cli.demo.source import Source, make_source
from dicomnode.cli.demo.story import Story, read_story
from dicomnode.cli.demo.telling import tell, tell_noise
from dicomnode.cli.demo.voice import Voice
from dicomnode.cli.demo.waiting import wait_for_node


def prepare(folder: DemoFolder, slices: int, data: Path, voice: Voice) -> Source:
    """Make the series to send. Raises CommandFailed."""
    with voice.bar("preparing the CT", slices) as bar:
        source = make_source(folder.series, slices, data, bar.reach)
    voice.step("CT", source.words())
    voice.step("", "  (a patient that no network was trained on; here DEMO^PATIENT)")
    return source


def run(source: Source, node: DemoNode, pacs: Pacs, folder: DemoFolder, voice: Voice) -> dict[str, Any]:
    """Send the series and tell what becomes of it. Returns the figures; raises CommandFailed where it went wrong."""
    with voice.bar("sending to the node", len(source.sent)) as bar:
        seconds = send_series(source.sent, node.port, bar.advance)
    story = _wait(source, node, voice)
    for label, words in tell(story, seconds):
        voice.step(label, words)
    if not story.succeeded:
        fail(f"the series did not come through: {story.trouble()}{node.child.last_words()}")
    before, after = _came_back(source, story, pacs)
    comparison = compare(before, after, dcmread(source.shown_full_dose))
    for label, words in tell_noise(comparison, int(before.InstanceNumber), float(before.PixelSpacing[0])):
        voice.step(label, words)
    draw(comparison, story.pipeline, folder.picture)
    voice.step("picture", str(folder.picture))
    return {
        "source": source.about,
        "send_seconds": round(seconds, 2),
        **story.to_json(),
        "noise": _noise(comparison, int(before.InstanceNumber)),
        "picture": str(folder.picture),
    }


def _wait(source: Source, node: DemoNode, voice: Voice) -> Story:
    database = node.database()
    try:
        with voice.bar("waiting for the node", None) as bar:
            wait_for_node(database, node.child, source.series_uid, bar.reach)
        return read_story(database, source.series_uid)
    finally:
        database.close()


def _came_back(source: Source, story: Story, pacs: Pacs) -> tuple[Dataset, Dataset]:
    """The shown slice as the PACS has it, original and derived. Raises CommandFailed if it lacks any instance."""
    originals, derived = pacs.download(source.series_uid), pacs.download(story.derived_series_uid)
    expected = len(source.sent)
    if (len(originals), len(derived)) != (expected, story.derived):
        fail(
            f"the PACS gave back {len(originals)} of {expected} originals "
            f"and {len(derived)} of {story.derived} derived instances"
        )
    before = next(each for each in originals if each.SOPInstanceUID == source.shown)
    here = before.ImagePositionPatient
    after = next((each for each in derived if each.ImagePositionPatient == here), None)
    if after is None:
        fail("none of the derived instances lies where the shown slice does")
    return before, after


def _noise(comparison: Comparison, number: int) -> dict[str, Any]:
    names = ("before", "after", "full_dose")
    return {
        "sd_hu": dict(zip(names, (round(value, 2) for value in comparison.sd()), strict=True)),
        "mean_hu": dict(zip(names, (round(value, 2) for value in comparison.mean()), strict=True)),
        "instance_number": number,
        "row": comparison.region.row,
        "column": comparison.region.column,
        "size": SIZE,
    }
