"""The cache of what was made ahead: what goes in comes out, for those alone who ask for exactly that."""

from dataclasses import fields, replace
from hashlib import sha256
from pathlib import Path
from types import SimpleNamespace

import pytest

from dicomnode.derive import Derivation, DerivedSeries
from dicomnode.domain.recipe import Recipe
from dicomnode.domain.verdict import GuardFigure, Verdict
from dicomnode.enhance.api import Code
from dicomnode.enhance.note import Note
from dicomnode.flow.enhancing.grounds import Grounds
from dicomnode.flow.enhancing.written import Written
from dicomnode.flow.head_start import made_ahead
from dicomnode.flow.head_start.made_ahead import Fresh, MadeAhead, all_caches, size_of_all
from dicomnode.store.reading import read_bytes

WORK = "a" * 64
GROUNDS = Grounds("g")
SERIES = DerivedSeries("2.25.1", 1002, "Chest [AI denoise]", "20260301", "120000", "+0000")


def fresh(uid: str, key: str = "", content: bytes = b"DICM") -> Fresh:
    figure = GuardFigure("noise", Verdict.FLAG, 0.1 + 0.2, float("inf"), "HU", "much", {"tail": float("nan")})
    written = Written(uid, f"9.{uid}", "class", "syntax", sha256(content).hexdigest())
    return Fresh(key or uid, written, (uid, "1.9"), (figure,), content, 0.25)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MadeAhead:
    """A cache that this process did not write: what is found in it is read."""
    made = MadeAhead(tmp_path, WORK)
    made.name_series("1.2.3", SERIES)
    made.add(GROUNDS, [fresh("1.1"), fresh("1.2", content=b"other")], {("1.3", "hash"): Note("a localizer")})
    monkeypatch.setattr(made_ahead, "_OWN", set())
    return MadeAhead(tmp_path, WORK).look()


def test_what_goes_in_comes_out(cache: MadeAhead) -> None:
    first, second, nothing = cache.find(["1.1", "1.2", "1.4"])
    assert nothing is None
    assert first is not None
    assert second is not None
    assert read_bytes(cache.root, second.location) == b"other"
    assert first.written == fresh("1.1").written
    assert (first.sop_uid, first.contributors, first.seconds) == ("1.1", ("1.1", "1.9"), 0.25)
    (figure,) = first.figures
    assert (figure.verdict, figure.value, figure.limit) == (Verdict.FLAG, 0.1 + 0.2, float("inf"))
    assert cache.notes_of(GROUNDS, {"1.3": "hash", "1.1": "x"}) == {"1.3": Note("a localizer")}
    assert cache.notes_of(GROUNDS, {"1.3": "another"}) == {}
    assert cache.notes_of(Grounds("other code"), {"1.3": "hash"}) == {}
    assert cache.made == ["1.1", "1.2"]


def test_a_series_is_named_once(cache: MadeAhead) -> None:
    later = DerivedSeries("2.25.1", 1002, "Chest [AI denoise]", "20260302", "130000", "+0000")
    assert cache.name_series("1.2.3", later) == SERIES
    assert cache.series == SERIES
    assert [(found.work, source) for found, source in all_caches(cache.root)] == [(WORK, "1.2.3")]


def test_rounds_of_others_are_seen_at_the_next_look(cache: MadeAhead) -> None:
    MadeAhead(cache.root, WORK).add(GROUNDS, [fresh("1.5")], {})
    assert cache.find(["1.5"]) == [None]
    assert cache.look().find(["1.5"]) != [None]
    assert cache.made == ["1.1", "1.2", "1.5"]


def test_what_was_made_twice_counts_twice(cache: MadeAhead) -> None:
    first = cache.kept["1.1"]
    MadeAhead(cache.root, WORK).add(GROUNDS, [fresh("1.1")], {})
    assert cache.look().kept["1.1"] is first
    assert cache.made == ["1.1", "1.2", "1.1"]


@pytest.mark.parametrize("fault", ["damaged", "shorter", "gone"])
def test_what_is_not_whole_is_not_found(cache: MadeAhead, fault: str) -> None:
    (path,) = cache.folder.glob("*.tar")
    content = path.read_bytes()
    changed = {"damaged": content.replace(b"DICM", b"DICN"), "shorter": content[:514], "gone": None}[fault]
    path.write_bytes(changed) if changed else path.unlink()
    assert cache.find(["1.1"]) == [None]


@pytest.mark.parametrize("content", ["", "{", "[]", '{"format": 2}', '{"format": 1, "made": [{"key": "k"}]}'])
def test_an_index_that_cannot_be_read_is_passed_over(cache: MadeAhead, content: str) -> None:
    (cache.folder / "broken.json").write_text(content)
    (cache.folder / "series.json").write_text(content)
    again = MadeAhead(cache.root, WORK).look()
    assert again.find(["1.1"]) != [None]
    assert again.series is None


def test_it_can_be_given_up(cache: MadeAhead) -> None:
    assert size_of_all(cache.root) > 0
    cache.remove()
    assert not cache.folder.exists()
    assert size_of_all(cache.root) == 0
    cache.remove()


def test_every_slice_that_the_network_saw_is_in_the_key() -> None:
    window = [("1.1", "a"), ("1.2", "b"), ("1.3", "c")]
    keys = {
        GROUNDS.key(window),
        Grounds("h").key(window),
        GROUNDS.key(window[::-1]),
        GROUNDS.key([("1.1", "a"), ("1.2", "x"), ("1.3", "c")]),
        GROUNDS.key([("1.1", "a"), ("1.2", "b"), ("1.2", "b")]),
    }
    assert len(keys) == 5


def test_whatever_a_derivation_says_is_in_the_grounds_but_for_the_flag() -> None:
    recipe = Recipe("passthrough", "1.0.0")
    plain = Derivation(recipe, SERIES, (), "nothing", "DICOMNODE")
    changes = {
        "recipe": replace(recipe, version="1.0.1"),
        "series": replace(SERIES, series_time="120001"),
        "codes": (Code("113087", "DCM", "Smoothing"),),
        "description": "something",
        "ae_title": "NODE2",
        "same_grid": False,
        "synthetic": True,
        "generation": 1,
    }
    assert {field.name for field in fields(Derivation)} - {"flag_reason"} == changes.keys()
    loaded = SimpleNamespace(means=("cpu", "AVX2"))
    digests = [Grounds.of(loaded, replace(plain, **{name: value})).digest for name, value in changes.items()]
    digests += [Grounds.of(loaded, plain).digest, Grounds.of(SimpleNamespace(means=("cpu", "AVX512")), plain).digest]
    assert len(set(digests)) == len(changes) + 2
    assert Grounds.of(loaded, replace(plain, flag_reason="a flag")).digest == Grounds.of(loaded, plain).digest
