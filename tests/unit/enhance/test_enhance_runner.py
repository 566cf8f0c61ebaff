"""The engine: order, neighbours, late slices, memory, verdicts, and errors that name their cause."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from dicomnode.domain.verdict import GuardFigure, Verdict
from dicomnode.enhance.errors import CannotDecode, OutOfMemory, ParamsRefused, PipelineFault, SeriesRefused
from dicomnode.enhance.images import EnhancedSlice, KnownSlice, SourceImage
from dicomnode.enhance.registry import Registry
from dicomnode.enhance.runner import Engine

pytestmark = pytest.mark.torch

SMOOTH = """
neighbours = 1
precision = "float32"

def enhance(self, slices, params):
    import torch
    kernel = torch.linspace(-1, 2, 27).reshape(1, 3, 3, 3) / 9
    return torch.nn.functional.conv2d(slices, kernel, padding=1)[:, 0]
"""
NEIGHBOURS = """
neighbours = 1
precision = "float32"

def enhance(self, slices, params):
    return slices[:, 0] * 10000 + slices[:, 1] * 100 + slices[:, 2]
"""


@pytest.fixture
def run(header_facts, facts_of):
    """Run the one pipeline of a folder on sources and return the loaded pipeline and the result."""
    torch.set_num_threads(1)

    def run(folder: Path, sources: list[SourceImage], *, batch_size: int | None = None, params=None, **options):
        registry = Registry.load([folder], bundled=False, entry_points=False)
        engine = Engine(registry, "cpu", instance_facts=header_facts, batch_size=batch_size)
        loaded = engine.prepare("tiny")
        return loaded, engine.enhance(loaded, sources, params or {}, facts=facts_of(sources), **options)

    return run


def numbered(count: int) -> np.ndarray:
    return np.stack([np.full((4, 4), index + 1, np.int16) for index in range(count)])


@pytest.mark.parametrize("batch_size", [1, 2, 5, 64])
def test_slices_come_in_the_order_of_space_with_their_neighbours(run, write_pipeline, make_sources, batch_size) -> None:
    sources = make_sources(numbered(5))
    shuffled = [sources[i] for i in (3, 0, 4, 2, 1)]
    _, result = run(write_pipeline(NEIGHBOURS), shuffled, batch_size=batch_size)
    assert [image.sop_uid for image in result.slices] == [source.sop_uid for source in sources]
    seen = [int(image.pixels[0, 0]) for image in result.slices]
    assert seen == [1_01_02, 1_02_03, 2_03_04, 3_04_05, 4_05_05]
    assert all(image.pixels.dtype == np.float32 and image.units == "physical" for image in result.slices)
    assert (result.verdict, result.device, result.precision) == (Verdict.PASS, "cpu", "float32")


def test_late_slices_get_the_pixels_of_a_full_run(run, write_pipeline, make_sources, ct_volume) -> None:
    sources = make_sources(ct_volume)
    folder = write_pipeline(SMOOTH)
    _, full = run(folder, sources)
    whole = {image.sop_uid: image.pixels for image in full.slices}
    late = {sources[0].sop_uid, sources[4].sop_uid, sources[8].sop_uid}
    _, part = run(folder, sources, wanted=late)
    assert {image.sop_uid for image in part.slices} == late
    assert all(np.array_equal(image.pixels, whole[image.sop_uid]) for image in part.slices)


def test_physical_units_reach_the_network(run, write_pipeline, make_sources) -> None:
    sources = make_sources(numbered(2), RescaleSlope=2, RescaleIntercept=-1024)
    _, result = run(write_pipeline("def enhance(self, slices, params):\n    return slices[:, 0]"), sources)
    assert [float(image.pixels[0, 0]) for image in result.slices] == [-1022.0, -1020.0]


def test_memory_running_out_halves_the_batch_and_changes_nothing(run, write_pipeline, make_sources, ct_volume) -> None:
    hungry = SMOOTH.replace(
        "    import torch\n",
        "    import torch\n    if len(slices) > 2:\n        raise torch.OutOfMemoryError('CUDA out of memory')\n",
    )
    sources = make_sources(ct_volume)
    loaded, result = run(write_pipeline(hungry), sources, batch_size=9)
    assert (result.batch_size, loaded.batch_size) == (2, 2)
    _, plain = run(write_pipeline(SMOOTH), sources, batch_size=2)
    for found, expected in zip(result.slices, plain.slices, strict=True):
        assert np.array_equal(found.pixels, expected.pixels)


@pytest.mark.parametrize(
    "error", ["MemoryError()", "RuntimeError('DefaultCPUAllocator: not enough memory: you tried to allocate')"]
)
def test_one_slice_that_does_not_fit_is_a_plain_error(run, write_pipeline, make_sources, error: str) -> None:
    body = f"def enhance(self, slices, params):\n    raise {error}"
    with pytest.raises(OutOfMemory, match="one slice of pipeline tiny does not fit into the memory of cpu") as refused:
        run(write_pipeline(body), make_sources(numbered(4)), batch_size=4)
    assert refused.value.transient


@pytest.mark.parametrize(
    ("line", "kind", "reason"),
    [
        ("raise ValueError('the noise is too high')", SeriesRefused, "refused the series: the noise is too high"),
        ("raise KeyError('x')", PipelineFault, "pipeline tiny failed: KeyError"),
        ("return slices", PipelineFault, r"returned the shape \(1, 1, 4, 4\) for \(1, 4, 4\)"),
        ("return slices[:, 0, :2]", PipelineFault, "returned the shape"),
        ("return None", PipelineFault, "not a tensor"),
    ],
)
def test_what_a_pipeline_does_wrong_is_named(run, write_pipeline, make_sources, line, kind, reason) -> None:
    with pytest.raises(kind, match=reason):
        run(write_pipeline(f"def enhance(self, slices, params):\n    {line}"), make_sources(numbered(2)))


def test_stages_progress_and_streaming(run, write_pipeline, make_sources) -> None:
    loads: list[str] = []
    events: list[object] = []

    def counting(source: SourceImage) -> SourceImage:
        def load() -> np.ndarray:
            loads.append(source.sop_uid)
            return source.load()

        return SourceImage(source.sop_uid, source.header, load)

    sources = [counting(source) for source in make_sources(numbered(7))]
    _, result = run(
        write_pipeline(NEIGHBOURS),
        sources,
        batch_size=2,
        emit=lambda image: events.append(image.sop_uid),
        on_progress=lambda done, total: events.append((done, total)),
        checkpoint=events.append,
    )
    assert result.slices == ()
    assert events[0] == "decoded"
    assert events[-1] == "inferred"
    assert [event for event in events if isinstance(event, tuple)] == [(done, 7) for done in range(1, 8)]
    assert [event for event in events if event in loads] == loads, "each slice is handed over when it is done"
    assert loads == [source.sop_uid for source in sources], "each slice is decoded once"


def test_what_is_known_is_not_computed_and_comes_in_its_turn(run, write_pipeline, make_sources) -> None:
    sources = make_sources(numbered(5))
    uids = [source.sop_uid for source in sources]
    seen, order, computed = [], [], []

    def known(windows: Sequence[tuple[str, ...]]) -> list[KnownSlice | None]:
        seen.extend(windows)
        figure = GuardFigure("remembered", Verdict.FLAG, 1.0)
        return [KnownSlice(window[1], (figure,)) if window[1] in (uids[0], uids[3]) else None for window in windows]

    def emit(image: EnhancedSlice) -> None:
        computed.append(image.sop_uid)
        order.append(image.sop_uid)

    body = write_pipeline(NEIGHBOURS)
    _, result = run(body, sources[::-1], known=known, recall=lambda known: order.append(known.sop_uid), emit=emit)
    assert seen[0] == (uids[0], uids[0], uids[1])
    assert seen[2] == (uids[1], uids[2], uids[3])
    assert order == uids
    assert computed == [uids[1], uids[2], uids[4]]
    (figure,) = (figure for figure in result.figures if figure.guard == "remembered")
    assert (result.verdict, figure.details["slices"]) == (Verdict.FLAG, 2)


def test_what_skips_fails_by_is_told_without_its_words(run, write_pipeline, make_sources) -> None:
    """They quote what the header holds."""
    body = NEIGHBOURS + "\ndef skips(self, instance):\n    float(instance.only('PatientName'))\n"
    with pytest.raises(PipelineFault, match=r"judge an instance: ValueError at tiny.py:\d+$"):
        run(write_pipeline(body), make_sources(numbered(2), PatientName="DOE^JOHN"))


def test_what_is_not_for_the_network_is_skipped_with_the_reason(run, write_pipeline, make_sources) -> None:
    body = NEIGHBOURS + (
        "\ndef skips(self, instance):\n"
        "    return 'a localizer' if 'LOCALIZER' in instance.components('ImageType') else None\n"
    )
    sources = make_sources(numbered(7))
    sources[0].header.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
    sources[1].header.NumberOfFrames = 5
    sources[2].header.SamplesPerPixel = 3
    del sources[3].header.Rows
    _, result = run(write_pipeline(body), sources)
    assert [int(image.pixels[0, 0]) for image in result.slices] == [5_05_06, 5_06_07, 6_07_07]
    assert result.skipped == {
        "1.2.3.1": "a localizer",
        "1.2.3.2": "multi-frame images are not enhanced yet",
        "1.2.3.3": "a colour image has no physical units",
        "1.2.3.4": "not an image",
    }


def test_a_series_without_images_is_refused_with_the_reasons(run, write_pipeline, make_sources) -> None:
    sources = make_sources(numbered(3), NumberOfFrames=2)
    with pytest.raises(SeriesRefused, match=r"multi-frame images are not enhanced yet \(3\)"):
        run(write_pipeline(NEIGHBOURS), sources)


def test_outside_the_envelope_nothing_is_decoded(run, write_pipeline, make_sources) -> None:
    def never() -> np.ndarray:
        raise AssertionError("decoded")

    body = NEIGHBOURS + "\nenvelope = Envelope(text={'Modality': ('CT',)}, number={'KVP': (70, 150)})\n"
    sources = [SourceImage(s.sop_uid, s.header, never) for s in make_sources(numbered(2), KVP=200)]
    _, result = run(write_pipeline(body), sources)
    assert (result.verdict, result.slices) == (Verdict.WITHHOLD, ())
    (figure,) = result.figures
    assert "KVP is 200" in figure.reason
    assert figure.reason.endswith("the model knows 70 to 150")


def test_the_worst_slice_decides(run, write_pipeline, make_sources) -> None:
    body = """
    precision = "float32"

    def enhance(self, slices, params):
        import torch
        return torch.where(slices[:, 0] == 3, float("nan"), slices[:, 0])
    """
    sources = make_sources(numbered(4))
    _, result = run(write_pipeline(body), sources)
    assert result.verdict is Verdict.WITHHOLD
    figure = next(figure for figure in result.figures if figure.guard == "finite")
    assert (figure.value, figure.details["mean"], figure.details["max"]) == (16, 4.0, 16)
    assert (figure.details["withheld"], figure.details["worst_slice"]) == (1, sources[2].sop_uid)
    assert all(np.isfinite(image.pixels).all() for image in result.slices)


def test_pixels_that_cannot_be_decoded_name_the_image(run, write_pipeline, make_sources) -> None:
    def broken() -> np.ndarray:
        raise CannotDecode("the pixel data cannot be read")

    sources = make_sources(numbered(3))
    sources[1] = SourceImage(sources[1].sop_uid, sources[1].header, broken)
    with pytest.raises(CannotDecode, match=r"^image 2: the pixel data cannot be read"):
        run(write_pipeline(NEIGHBOURS), sources)


def test_parameters_are_checked(run, write_pipeline, make_sources) -> None:
    with pytest.raises(ParamsRefused):
        run(write_pipeline(NEIGHBOURS), make_sources(numbered(1)), params={"strength": 1})


def test_a_pipeline_may_change_the_grid(run, write_pipeline, make_sources) -> None:
    body = """
    same_grid = False

    def enhance(self, slices, params):
        return slices[:, 0].repeat_interleave(2, 1).repeat_interleave(2, 2)
    """
    _, result = run(write_pipeline(body), make_sources(numbered(2)))
    assert [image.pixels.shape for image in result.slices] == [(8, 8), (8, 8)]


def test_a_network_that_cannot_be_built_is_a_fault_of_the_pipeline(run, write_pipeline, make_sources) -> None:
    body = NEIGHBOURS + "\ndef load(self, weights, device):\n    raise KeyError('enter.weight')\n"
    with pytest.raises(PipelineFault, match=r"tiny could not load its network: KeyError"):
        run(write_pipeline(body), make_sources(numbered(1)))


@pytest.mark.parametrize("name", ["cuda:99", "tpu", "meta", "nonsense:x"])
def test_a_device_that_is_not_there_is_said_plainly(header_facts, name: str) -> None:
    with pytest.raises(RuntimeError, match="device"):
        Engine(Registry([]), name, instance_facts=header_facts)


MEASURED = """
precision = "float32"
guards = GuardLimits(typical_noise=(-1000.0, 0.0, {limit}, 1000.0))

class Params(PipelineParams):
    guards: GuardFactors = {{}}

def enhance(self, slices, params):
    return slices[:, 0]
"""


def test_a_rule_moves_a_guards_limit_and_the_verdict_with_it(run, write_pipeline, make_sources, ct_volume) -> None:
    sources = make_sources(ct_volume)
    found = run(write_pipeline(MEASURED.format(limit=900.0)), sources)[1].figures
    noise = max(figure.value for figure in found if figure.guard == "typical noise")
    folder = write_pipeline(MEASURED.format(limit=noise * 1.1))
    assert run(folder, sources)[1].verdict is Verdict.PASS
    assert run(folder, sources, params={"guards": {"typical_noise": 0.8}})[1].verdict is Verdict.FLAG
    with pytest.raises(ParamsRefused, match="typical_noise"):
        run(folder, sources, params={"guards": {"typical_noise": 0.1}})
