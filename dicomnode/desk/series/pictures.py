"""Slices of a series as small pictures: before, after, and what changed. Made on the node, within bounds.

Native pixel data is read by numpy, compressed frames in the decoding child process, as for an enhancement; no network
is loaded. One slice is drawn at a time, and the last few are kept.
"""

import hashlib
import io
import math
import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydicom import Dataset

from dicomnode.db.models.stored import Stored
from dicomnode.db.repositories import series_slices
from dicomnode.db.repositories.series_slices import Slice
from dicomnode.desk.patients import viewed
from dicomnode.desk.person import Person
from dicomnode.desk.refused import Refused
from dicomnode.desk.series.finding import find
from dicomnode.domain.instance import Location
from dicomnode.enhance.decode import DecodeLimits, Decoder
from dicomnode.enhance.errors import CannotDecode
from dicomnode.enhance.modality import modality_lut
from dicomnode.flow import Flow
from dicomnode.store.header import UnreadableHeader
from dicomnode.store.reading import read_dataset

LONGEST = 512
"""Pixels of a picture's longer side at most."""

_FILE_BYTES = 128 << 20
_LIMITS = DecodeLimits(decoded_bytes=128 << 20, memory_bytes=1 << 30, cpu_seconds=10, wall_seconds=20.0)
_KEPT = 24
"""Drawn slices that are kept: three pictures of some 100 kB each."""

_VERSION = "1"
"""Part of every ETag: whoever draws otherwise changes it."""

_UNITS = {"CT": "HU"}
"""Of what the modality LUT gives where Rescale Type (0028,1054) is silent; others are stored values."""

Grey = NDArray[np.float32]


@dataclass(frozen=True)
class Pictures:
    """The PNG files of one slice by name (`before`, `after`, `difference`), and how they are to be read.

    `low` and `high` are the window of `before` and `after` alike; `scale`: black and white of `difference` are that
    far below and above zero. All in `units`. `missing` says of each picture that there is not why.
    """

    png: Mapping[str, bytes]
    missing: Mapping[str, str]
    units: str
    low: float
    high: float
    scale: float


@dataclass(frozen=True)
class Shelf:
    """One slice of a series as a page shows it: which job, the how-manieth of how many, and its ETag."""

    slice: Slice
    job: int
    number: int
    count: int
    etag: str


class Gallery:
    """Draws slices, one at a time however many ask, and keeps the last few. Threads may share it."""

    def __init__(self, flow: Flow) -> None:
        self._flow = flow
        self._turn = threading.Lock()
        self._drawn: OrderedDict[str, Pictures] = OrderedDict()

    def find(self, person: Person, uid: str, job: int, number: int | None = None) -> Shelf:
        """Slice `number` (1: the first; None: the middle one) of what `job` made, or with job 0 of the originals.

        Records that `person` looked. Raises Refused where there is no such slice.
        """
        with self._flow.database.read() as session:
            series = find(session, uid)
            count = series_slices.count(session, uid, job)
            number = (count + 1) // 2 if number is None else number
            found = series_slices.at(session, uid, job, number - 1) if 0 < number <= count else None
        if not count:
            raise Refused(f"job {job} made no images" if job else "the series has no images", "missing")
        if found is None:
            raise Refused(f"there is no slice {number}: there are {count}", "missing")
        viewed(
            self._flow,
            person,
            "the pictures of a series",
            kind="image.viewed",
            study_uid=series.study_uid,
            series_uid=uid,
        )
        return Shelf(found, job, number, count, _etag(found))

    def draw(self, shelf: Shelf) -> Pictures:
        """The pictures of a slice. Never raises for what is in the images: `missing` says what is wrong with them."""
        with self._turn:
            known = self._drawn.pop(shelf.etag, None)
            self._drawn[shelf.etag] = known or _draw(self._flow, shelf.slice)
            while len(self._drawn) > _KEPT:
                self._drawn.popitem(last=False)
            return self._drawn[shelf.etag]


def _etag(of: Slice) -> str:
    told = [_VERSION, *(f"{row.sha256} {row.gone}" if row else "" for row in (of.source, of.output))]
    return hashlib.sha256("\n".join(told).encode()).hexdigest()[:32]


class _NoPicture(Exception):
    """Why there is none, in a sentence."""


def _draw(flow: Flow, of: Slice) -> Pictures:
    missing: dict[str, str] = {}
    values: dict[str, Grey] = {}
    headers: dict[str, Dataset] = {}
    for name, row in (("before", of.source), ("after", of.output)):
        try:
            if row is not None:
                values[name], headers[name] = _values(flow, row)
        except _NoPicture as error:
            missing[name] = str(error)
    header = headers.get("before") or headers.get("after") or Dataset()
    first = values.get("before", values.get("after"))
    low, high = _window(header, first) if first is not None else (0.0, 1.0)
    inverted = str(header.get("PhotometricInterpretation", "")) == "MONOCHROME1"
    png = {name: _png(_grey(each, low, high, inverted)) for name, each in values.items()}
    scale = 0.0
    if len(values) == 2:
        if values["before"].shape == values["after"].shape:
            change = values["after"] - values["before"]
            scale = _scale(change)
            png["difference"] = _png(_grey(change, -scale, scale, False))
        else:
            missing["difference"] = "the result lies on another grid than the original: nothing can be subtracted"
    return Pictures(png, missing, _units(header), low, high, scale)


def _values(flow: Flow, row: Stored) -> tuple[Grey, Dataset]:
    """Physical values of an instance (H, W); of a colour image its luminance."""
    if row.gone:
        words = {
            "purged": "retention gave up its bytes",
            "missing": "its bytes are missing",
            "damaged": "it is damaged",
        }
        raise _NoPicture(words.get(row.gone, row.gone))
    if row.length > _FILE_BYTES:
        raise _NoPicture(f"it has {row.length >> 20} MiB, more than is drawn here ({_FILE_BYTES >> 20} MiB)")
    try:
        dataset = read_dataset(flow.root, Location(row.container, row.offset, row.length))
        with Decoder(_LIMITS) as decoder:
            stored = decoder.decode(dataset)
        if stored.ndim == 3:
            return np.asarray(stored @ np.array([0.299, 0.587, 0.114]), dtype=np.float32), dataset
        return modality_lut(dataset, stored), dataset
    except (CannotDecode, UnreadableHeader, EOFError) as error:
        raise _NoPicture(str(error)) from error
    except OSError as error:
        raise _NoPicture(f"its bytes cannot be read: {error.strerror}") from error


def _window(header: Dataset, values: Grey) -> tuple[float, float]:
    """The first VOI window of the header (PS3.3 C.11.2), else between the 1st and 99th percentile."""
    try:
        center, width = (_first(header.get(name)) for name in ("WindowCenter", "WindowWidth"))
    except Exception:  # an element with a broken value raises what its VR's reader raises
        center = width = math.nan
    if math.isfinite(center) and math.isfinite(width) and width > 1:
        return center - width / 2, center + width / 2
    finite = values[np.isfinite(values)]
    low, high = (float(each) for each in np.percentile(finite, (1, 99))) if finite.size else (0.0, 1.0)
    return (low, high) if high > low else (low - 0.5, low + 0.5)


def _first(value: object) -> float:
    if value is None or value == "":
        return math.nan
    return float(value if isinstance(value, int | float | str) else value[0])  # type: ignore[index]


def _scale(change: Grey) -> float:
    """The largest change but for one pixel in a hundred, as 1, 2 or 5 times a power of ten; 1 where nothing did."""
    finite = np.abs(change[np.isfinite(change)])
    most = float(np.percentile(finite, 99)) if finite.size else 0.0
    if most <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(most))
    return next(step * power for step in (1, 2, 5, 10) if step * power >= most * (1 - 1e-9))


def _units(header: Dataset) -> str:
    kind = str(header.get("RescaleType") or "") or _UNITS.get(str(header.get("Modality", "")), "US")
    return "" if kind == "US" else kind


def _grey(values: Grey, low: float, high: float, inverted: bool) -> NDArray[np.uint8]:
    grey = np.clip((np.nan_to_num(values, nan=low) - low) / (high - low), 0.0, 1.0)
    return np.asarray(np.rint((1 - grey if inverted else grey) * 255), dtype=np.uint8)


def _png(grey: NDArray[np.uint8]) -> bytes:
    image = Image.fromarray(grey)
    if max(image.size) > LONGEST:
        ratio = LONGEST / max(image.size)
        image = image.resize(
            (max(1, round(image.width * ratio)), max(1, round(image.height * ratio))), Image.Resampling.BOX
        )
    written = io.BytesIO()
    image.save(written, "PNG")
    return written.getvalue()
