"""The story in plain words: a heading and its words for each step."""

from collections.abc import Iterator

from dicomnode.cli.demo.noise import SIZE, Comparison
from dicomnode.cli.demo.story import Delivered, Guard, Story

_VERDICTS = {"pass": "passed", "flag": "flagged", "withhold": "withheld"}

Line = tuple[str, str]


def tell(story: Story, send_seconds: float) -> Iterator[Line]:
    """What the node did, from the first C-STORE to the seal of the audit log."""
    yield "received", f"{story.received} instances in {send_seconds:.1f} s"
    yield "complete", f"after {story.complete_after:.1f} s, because {story.complete_because}"
    yield "rule", f'"{story.rule}" {"matched" if story.matched else "did not match"}, because'
    for sentence in story.explanation:
        yield "", f"  {sentence}"
    if story.pipeline:
        yield from _enhancement(story)
    else:
        yield "originals", f"only: {story.outcome}"
    for delivery in story.deliveries:
        yield "delivered", _delivered(delivery)
    yield "audit", _audit(story)


def tell_noise(comparison: Comparison, number: int, pixel_mm: float) -> Iterator[Line]:
    """The figures of the uniform region, and where it lies. `number` is the slice's InstanceNumber."""
    before, after, full = comparison.sd()
    mean_before, mean_after, mean_full = comparison.mean()
    region = comparison.region
    yield "noise", f"{before:.1f} HU before, {after:.1f} HU after; {full:.1f} HU at full dose (standard deviation)"
    yield "mean", f"{mean_before:.1f} HU before, {mean_after:.1f} HU after; {mean_full:.1f} HU at full dose"
    side = f"{SIZE} x {SIZE} px ({SIZE * pixel_mm:.1f} mm square)"
    yield "measured", f"before and after on what the PACS gave back; in image {number}, {side} from row {region.row},"
    yield "", f"  column {region.column}: there the soft tissue of the full dose image varies least"


def _enhancement(story: Story) -> Iterator[Line]:
    params = ", ".join(f"{name} {value}" for name, value in story.params.items() if value != {})
    what = f"{story.pipeline} ({params})" if params else story.pipeline
    yield "enhanced", f"by {what} on {story.device or 'no device'} in {story.network_seconds:.1f} s"
    for number, guard in enumerate(story.guards):
        yield "" if number else "guards", _guard(guard)
    if story.derived:
        yield "derived", f"{story.derived} instances in the same study, series description"
        yield "", f'  "{story.derived_description}"'
    if story.state != "done":
        yield "ended", f"{story.state}: {story.reason}"


def _guard(guard: Guard) -> str:
    words = f"{guard.name.replace('_', ' ')}: {_VERDICTS.get(guard.verdict, guard.verdict)}"
    if guard.value is not None:
        words += f", {guard.value:.3g} {guard.unit}".rstrip()
        words += f" in the worst slice (limit {guard.limit:.3g})" if guard.limit is not None else ""
    return f"{words}; {guard.reason}" if guard.reason else words


def _delivered(delivery: Delivered) -> str:
    statuses = ", ".join(f"{status} on {count}" for status, count in delivery.statuses.items())
    ended = f"; {delivery.state}: {delivery.reason}" if delivery.reason else ""
    words = f"{delivery.sent}/{delivery.total} {delivery.what} to the PACS, status {statuses}{ended}"
    return f"{words}; the last after {delivery.after:.1f} s"


def _audit(story: Story) -> str:
    if not story.audit_ok:
        return f"the chain of {story.audit_events} events does NOT hold"
    return f"verified: {story.audit_events} events, each sealed to the one before it"
