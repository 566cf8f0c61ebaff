"""Words for the editor of rules: what can be asked of a series, and what is often seen here."""

import re
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any
from weakref import WeakKeyDictionary

from pydicom.datadict import (
    dictionary_description,
    dictionary_is_retired,
    dictionary_VR,
    keyword_dict,
    tag_for_keyword,
)

from dicomnode.db.database import Database
from dicomnode.db.repositories import rule_evidence
from dicomnode.domain.facts import COMPUTED_FACTS
from dicomnode.flow import Flow
from dicomnode.route.vocabulary import check_attribute

MOST = 20
MOST_VALUES = 12
SAMPLE = 400
"""Series, the newest, that are looked through for what is seen here."""
KEPT_SECONDS = 600.0
PATIENTS = 3
"""A value is told if so many patients share it: less could tell of one of them."""

_NEVER = frozenset({"PN", "UI", "DA", "DT", "TM", "AS", "ST", "LT", "UT", "SQ"})
"""VRs whose values are of one patient, study or instance, or free text."""


@dataclass(frozen=True)
class Word:
    """Something that a condition may ask about. `name` and `private_creator` are what the condition says."""

    kind: str
    """attribute or fact"""
    name: str
    title: str
    """The dictionary's name, or what the fact means."""
    tag: str = ""
    vr: str = ""
    private_creator: str = ""
    seen: int = 0
    """Series of the sample that have it."""
    values: tuple[tuple[str, int], ...] = ()
    """Frequent values, each with the number of series, the most frequent first."""

    def to_json(self) -> dict[str, Any]:
        return {**vars(self), "values": [{"value": value, "series": count} for value, count in self.values]}


@dataclass
class _Seen:
    vr: str
    series: int = 0
    values: Counter[str] = field(default_factory=Counter)
    patients: dict[str, set[str]] = field(default_factory=dict)


_samples: WeakKeyDictionary[Database, tuple[float, Mapping[str, _Seen]]] = WeakKeyDictionary()
_sampling = threading.Lock()


def search_words(flow: Flow, text: str) -> list[Word]:
    """At most `MOST` whose name, title or tag holds the text: computed facts, then attributes, those seen first."""
    folded = text.strip().casefold()
    digits = re.sub(r"[(),\s]", "", folded)
    seen = _seen(flow)
    facts = [Word("fact", name, fact.description) for name, fact in COMPUTED_FACTS.items() if folded in name]
    found = (word for word in _attributes(seen) if _fits(word, folded, digits))
    best = sorted(found, key=lambda word: (not word.name.casefold().startswith(folded), -word.seen, word.name))
    return [*facts, *best][:MOST]


def word_of(flow: Flow, name: str, private_creator: str = "") -> Word | None:
    """One attribute or fact with its frequent values; None if there is none of that name."""
    if name in COMPUTED_FACTS:
        return Word("fact", name, COMPUTED_FACTS[name].description)
    for word in _attributes(_seen(flow)):
        if word.name == name and word.private_creator == private_creator:
            return word
    return None


def params_schemas(flow: Flow) -> dict[str, dict[str, Any]]:
    """JSON schema of the parameters of every pipeline that can be used, by name."""
    return {name: model.model_json_schema() for name, model in sorted(flow.registry.params_models().items())}


def _fits(word: Word, folded: str, digits: str) -> bool:
    names = (word.name.casefold(), word.title.casefold(), word.private_creator.casefold())
    return any(folded in name for name in names) or (bool(digits) and word.tag.startswith(digits))


def _attributes(seen: Mapping[str, _Seen]) -> Iterator[Word]:
    """Of the dictionary, each with what is seen of it here; then those seen that the dictionary does not have."""
    dictionary = _dictionary()
    for name, word in dictionary.items():
        yield _with_values(word, seen[name]) if name in seen else word
    for name, found in seen.items():
        if name not in dictionary and (own := _own(name, found.vr)) is not None:
            yield _with_values(own, found)


def _with_values(word: Word, seen: _Seen) -> Word:
    told = [(value, n) for value, n in seen.values.most_common() if len(seen.patients[value]) >= PATIENTS]
    return Word(word.kind, word.name, word.title, word.tag, word.vr or seen.vr, word.private_creator, seen.series,
                tuple(told[:MOST_VALUES]))  # fmt: skip


@cache
def _dictionary() -> Mapping[str, Word]:
    """Every element of PS3.6 that a rule can read, by keyword."""
    found = {}
    for keyword, tag in keyword_dict.items():
        if keyword and not dictionary_is_retired(tag) and _readable(keyword):
            title, vr = dictionary_description(tag), dictionary_VR(tag)
            found[keyword] = Word("attribute", keyword, title, f"{tag:08x}", vr)
    return found


def _readable(keyword: str, creator: str | None = None) -> bool:
    try:
        check_attribute(keyword, creator)
    except ValueError:  # pydantic's refusal is one
        return False
    return True


def _own(name: str, vr: str) -> Word | None:
    """A private element, or one inside a sequence, as facts name it: in the words of a condition."""
    path, _, creator = name.partition("|")
    if "|" in creator or not _readable(path, creator or None):
        return None
    last = path.rsplit(".", 1)[-1]
    tag = tag_for_keyword(last)
    title = " in ".join(reversed([_title(step) for step in path.split(".")]))
    digits = f"{tag:08x}" if tag is not None else last.replace(",", "").lower()
    return Word("attribute", path, f"{title} ({creator})" if creator else title, digits, vr, creator)


def _title(step: str) -> str:
    tag = tag_for_keyword(step)
    return dictionary_description(tag) if tag is not None else step


def _seen(flow: Flow) -> Mapping[str, _Seen]:
    """What the newest series hold; looked through again every `KEPT_SECONDS`."""
    with _sampling:
        until, found = _samples.get(flow.database, (0.0, {}))
        if time.monotonic() >= until:
            with flow.database.read() as session:
                found = _counted(rule_evidence.newest_facts(session, SAMPLE))
            _samples[flow.database] = (time.monotonic() + KEPT_SECONDS, found)
        return found


def _counted(sample: Iterable[Mapping[str, Any]]) -> dict[str, _Seen]:
    found: dict[str, _Seen] = {}
    for document in sample:
        attributes = document["attributes"]
        patients = {str(part) for row in attributes.get("PatientID", {}).get("values", ()) for part in row["value"]}
        for name, facts in attributes.items():
            seen = found.setdefault(name, _Seen(facts["vr"]))
            seen.series += 1
            if not _is_personal(name, facts["vr"]):
                for value in {str(part) for row in facts["values"] for part in row["value"]}:
                    seen.values[value] += 1
                    seen.patients.setdefault(value, set()).update(patients)
    return found


def _is_personal(name: str, vr: str) -> bool:
    """Elements of the patient, of visits and requests, of which no value is ever told."""
    first = name.partition("|")[0].partition(".")[0]
    tag = tag_for_keyword(first)
    group = tag >> 16 if tag is not None else int(first[:4], 16) if re.match(r"[0-9A-Fa-f]{4},", first) else 0
    return vr in _NEVER or group in (0x0010, 0x0012, 0x0032, 0x0038, 0x0040)
