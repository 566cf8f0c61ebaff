"""The picture: what is where, and which grey stands for which HU."""

from pathlib import Path

import numpy as np
from PIL import Image as Picture

from dicomnode.cli.demo.noise import SIZE, Comparison, Region
from dicomnode.cli.demo.picture import _CAPTION, _GAP, body_rows, draw, windowed

ROWS, COLUMNS = 240, 400


def comparison() -> Comparison:
    """A body of 40 HU from row 50 to 199 in air; before 100 HU too bright in one corner of it, after by 50 HU."""
    full = np.full((ROWS, COLUMNS), -1000.0)
    full[50:200, 40:360] = 40.0
    before, after = full.copy(), full.copy()
    before[60:80, 50:70] += 100
    after[60:80, 50:70] += 50
    return Comparison(before, after, full, Region(120, 200))


def panels(path: Path) -> list[np.ndarray]:
    """The four images under their captions, in reading order."""
    draw(comparison(), "ct-denoise 1.1.0", path)
    picture = Picture.open(path)
    assert (picture.format, picture.mode) == ("PNG", "L")
    sheet = np.asarray(picture)
    height = (sheet.shape[0] - _GAP) // 2
    assert sheet.shape == (2 * height + _GAP, 2 * COLUMNS + _GAP)
    corners = [(top, left) for top in (0, height + _GAP) for left in (0, COLUMNS + _GAP)]
    return [sheet[top + _CAPTION : top + height, left : left + COLUMNS] for top, left in corners]


def test_panels_hold_before_after_difference_and_full_dose(tmp_path: Path) -> None:
    top = body_rows(comparison().full_dose).start
    before, after, difference, full = (panel[70 - top, 60] for panel in panels(tmp_path / "a.png"))
    assert before == round((100 / 400 + 0.5) * 255)
    assert after == round((50 / 400 + 0.5) * 255)
    assert difference == round((-50 / 200 + 0.5) * 255)
    assert full == 128


def test_the_square_is_outlined_and_its_pixels_are_left_alone(tmp_path: Path) -> None:
    region, top = comparison().region, body_rows(comparison().full_dose).start
    row = region.row - top
    for panel in panels(tmp_path / "a.png"):
        inside = panel[row : row + SIZE, region.column : region.column + SIZE]
        assert np.all(inside == 128)
        framed = panel[row - 1 : row + SIZE + 1, region.column - 1 : region.column + SIZE + 1]
        assert np.all(framed[0] == 255)
        assert np.all(framed[:, -1] == 255)


def test_captions_are_written_and_the_difference_has_its_grey_scale(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    height = panels(path)[0].shape[0] + _CAPTION
    sheet = np.asarray(Picture.open(path))
    captions = [sheet[top : top + _CAPTION, left : left + COLUMNS] for top in (0, height + _GAP) for left in (0, 406)]
    for caption in captions:
        assert (caption > 200).sum() > 300  # letters
    ramp = np.array([len(set(row)) for row in captions[2]])
    assert ramp.max() >= 100
    assert max(len(set(row)) for row in captions[0]) < 100


def test_air_above_and_below_is_cut_off_and_an_empty_slice_is_not() -> None:
    assert body_rows(comparison().full_dose) == slice(40, 210)
    assert body_rows(np.full((64, 64), -1000.0)) == slice(0, 64)


def test_the_window_maps_its_ends_to_black_and_white() -> None:
    assert windowed(np.array([-2000.0, -160.0, 40.0, 240.0, 3000.0]), 40, 400).tolist() == [0, 0, 127.5, 255, 255]
