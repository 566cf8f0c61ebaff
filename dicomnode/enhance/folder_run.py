"""Run a pipeline on a folder of DICOM files, without a node around it. Writing DICOM is another room's work."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from pydicom import Dataset, dcmread
from pydicom.errors import InvalidDicomError

from dicomnode.domain.facts import SeriesFacts
from dicomnode.enhance.decode import Decoder
from dicomnode.enhance.errors import CannotDecode, SeriesRefused
from dicomnode.enhance.images import Enhanced, EnhancedSlice, Pixels, SourceImage
from dicomnode.enhance.runner import Engine


@dataclass(frozen=True)
class FolderSeries:
    """One series of a folder: its images by file, headers read, pixel data not yet."""

    series_uid: str
    sources: tuple[SourceImage, ...]
    files: Mapping[str, Path]
    """By SOP instance UID."""


@dataclass(frozen=True)
class FolderResult:
    """What became of one series: the enhancement, or one sentence on why there is none."""

    series: FolderSeries
    enhanced: Enhanced | None
    refusal: str = ""


def read_folder(folder: Path, decoder: Decoder) -> list[FolderSeries]:
    """The series in a folder and its sub-folders, by Series Instance UID; files that are not DICOM are passed over.

    Of several files with one SOP Instance UID the first by path counts.
    """
    found: dict[str, dict[str, tuple[Path, Dataset]]] = defaultdict(dict)
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        try:
            header = dcmread(path, stop_before_pixels=True)
            series_uid, sop_uid = str(header.SeriesInstanceUID), str(header.SOPInstanceUID)
        except (InvalidDicomError, AttributeError, EOFError, OSError, ValueError, NotImplementedError):
            continue
        found[series_uid].setdefault(sop_uid, (path, header))
    return [_series(uid, members, decoder) for uid, members in sorted(found.items())]


def run_folder(
    engine: Engine,
    name: str,
    folder: Path,
    params: Mapping[str, Any],
    *,
    series_facts: Callable[[Sequence[Dataset]], SeriesFacts],
    decoder: Decoder,
    emit: Callable[[FolderSeries, EnhancedSlice], None] | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> Iterator[FolderResult]:
    """Run pipeline `name` on each series of a folder, one result for each, in the order of Series Instance UID.

    A series that the pipeline does not accept, or that cannot be decoded, is a refusal and the next one follows.
    What concerns the pipeline itself (unknown, broken, weights refused, parameters refused) is raised.
    """
    loaded = engine.prepare(name)
    complete = loaded.entry.params(params)
    for series in read_folder(folder, decoder):
        facts = series_facts([source.header for source in series.sources])
        acceptance = loaded.entry.accepts(facts)
        if not acceptance.accepted:
            yield FolderResult(series, None, acceptance.reason)
            continue
        try:
            enhanced = engine.enhance(
                loaded,
                series.sources,
                complete,
                facts=facts,
                emit=partial(emit, series) if emit else None,
                on_progress=on_progress,
            )
        except (SeriesRefused, CannotDecode) as error:
            yield FolderResult(series, None, str(error))
            continue
        yield FolderResult(series, enhanced)


def _series(uid: str, members: Mapping[str, tuple[Path, Dataset]], decoder: Decoder) -> FolderSeries:
    sources = tuple(
        SourceImage(sop_uid, header, partial(_load, path, decoder)) for sop_uid, (path, header) in members.items()
    )
    return FolderSeries(uid, sources, {sop_uid: path for sop_uid, (path, _) in members.items()})


def _load(path: Path, decoder: Decoder) -> Pixels:
    try:
        image = dcmread(path)
    except (OSError, InvalidDicomError, EOFError, ValueError) as error:
        raise CannotDecode(f"{path.name} cannot be read again") from error
    return decoder.decode(image)
