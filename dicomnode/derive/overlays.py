"""Overlay planes (C.9.2): good on the grid they were drawn on, if they have bits of their own."""

from pydicom import Dataset

from dicomnode.derive.encode import tags_in


def stale_overlays(source: Dataset, *, same_grid: bool) -> frozenset[int]:
    """Tags of the overlay planes to drop: all on a new grid; else those whose bits lay in the old PixelData."""
    tags = [tag for tag in tags_in(source) if tag.group & 0xFF00 == 0x6000 and not tag.group & 1]
    planes = {tag.group for tag in tags}
    own_bits = {group for group in planes if same_grid and (group << 16 | 0x3000) in source}
    return frozenset(int(tag) for tag in tags if tag.group not in own_bits)
