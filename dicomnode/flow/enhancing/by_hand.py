"""A pipeline run by hand: a folder of files in, a folder of derived files out, no node, no ledger, no delivery."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from tempfile import gettempdir
from typing import Any

from pydicom import Dataset, dcmread
from rich.console import Console
from rich.progress import Progress

from dicomnode.complete.facts import Accumulator, instance_facts
from dicomnode.derive import plan_series
from dicomnode.derive.errors import BrokenInstance, CannotDerive
from dicomnode.domain.facts import SeriesFacts
from dicomnode.domain.verdict import Verdict
from dicomnode.enhance.api import Pipeline
from dicomnode.enhance.decode import Decoder
from dicomnode.enhance.folder_run import FolderResult, FolderSeries, run_folder
from dicomnode.enhance.images import Enhanced, EnhancedSlice
from dicomnode.enhance.runner import Engine
from dicomnode.enhance.spill import Spill
from dicomnode.flow.context import Flow
from dicomnode.flow.enhancing.deriving import derivation_of, derive_slice, flags, vetoes


def enhance_folder(
    flow: Flow, name: str, folder: Path, out: Path, params: Mapping[str, Any], device: str, *, quiet: bool = False
) -> Iterator[dict[str, Any]]:
    """Run pipeline `name` on each series of `folder`; yields one row per series: files written, verdict, reason.

    Derived files go to `out/<derived series UID>/<number>.dcm`. Raises EnhanceError for what concerns the pipeline.
    """
    engine = Engine(flow.registry, device, instance_facts=instance_facts)
    pipeline = engine.prepare(name).pipeline
    spills: dict[str, Spill] = {}

    def emit(series: FolderSeries, enhanced: EnhancedSlice) -> None:
        if series.series_uid not in spills:
            spills[series.series_uid] = Spill(Path(gettempdir()))
        spills[series.series_uid].add(enhanced)

    with Decoder() as decoder, Progress(console=Console(stderr=True), disable=quiet) as progress:
        task = progress.add_task(name, total=None)
        for result in run_folder(
            engine,
            name,
            folder,
            params,
            series_facts=_series_facts,
            decoder=decoder,
            emit=emit,
            on_progress=lambda done, total: progress.update(task, completed=done, total=total),
        ):
            with spills.pop(result.series.series_uid, None) or Spill(Path(gettempdir())) as spill:
                yield _row(flow, name, pipeline, params, result, spill, out)


def _series_facts(headers: Sequence[Dataset]) -> SeriesFacts:
    accumulator = Accumulator()
    for header in headers:
        accumulator.add(header, transfer_syntax=str(header.file_meta.TransferSyntaxUID))
    return accumulator.facts()


def _row(
    flow: Flow,
    name: str,
    pipeline: Pipeline,
    params: Mapping[str, Any],
    result: FolderResult,
    spill: Spill,
    out: Path,
) -> dict[str, Any]:
    row: dict[str, Any] = {
        "series_uid": result.series.series_uid,
        "files": 0,
        "verdict": None,
        "reason": result.refusal,
    }
    if result.enhanced is None:
        return row
    row |= _figures(result.enhanced)
    if result.enhanced.verdict is Verdict.WITHHOLD:
        return row | {"reason": vetoes(result.enhanced)}
    try:
        derived_uid, files = _write(flow, name, pipeline, params, result, spill, out)
    except (CannotDerive, BrokenInstance) as error:
        return row | {"reason": str(error)}
    return row | {"files": files, "derived_series_uid": derived_uid, "reason": flags(result.enhanced) or ""}


def _figures(enhanced: Enhanced) -> dict[str, Any]:
    return {
        "verdict": enhanced.verdict.value,
        "figures": [figure.to_json() for figure in enhanced.figures],
        "skipped": enhanced.skipped,
        "seconds": round(enhanced.seconds, 3),
        "device": enhanced.device,
        "precision": enhanced.precision,
    }


def _write(
    flow: Flow,
    name: str,
    pipeline: Pipeline,
    params: Mapping[str, Any],
    result: FolderResult,
    spill: Spill,
    out: Path,
) -> tuple[str, int]:
    sources = {source.sop_uid: source for source in result.series.sources}
    recipe = flow.registry.recipe(name, params)
    series = plan_series(result.series.sources[0].header, recipe, pipeline.title, datetime.now(UTC))
    assert result.enhanced is not None
    derivation = derivation_of(flow, pipeline, recipe, series, flag_reason=flags(result.enhanced))
    folder = out / series.series_uid
    folder.mkdir(parents=True, exist_ok=True)
    for number, enhanced in enumerate(spill.slices(), start=1):
        path = result.series.files[enhanced.sop_uid]
        instance = derive_slice(derivation, enhanced, sources, lambda path=path: dcmread(path))  # type: ignore[misc]
        (folder / f"{number:05d}.dcm").write_bytes(instance.file_bytes)
    return series.series_uid, len(spill)
