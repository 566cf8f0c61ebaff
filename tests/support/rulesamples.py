"""Any rule that a node takes, as hypothesis draws it: conditions, parameters, everything a form has to carry."""

from typing import Any

from hypothesis import strategies as st

from dicomnode.domain.facts import COMPUTED_FACTS
from dicomnode.domain.site import Site
from dicomnode.enhance.api import Field, GuardFactors, PipelineParams
from dicomnode.route.site_document import SiteRefused, check_site

DESTINATIONS = [
    {"name": name, "kind": "dimse", "ae_title": "PACS", "host": "pacs", "port": 104}
    for name in ("pacs", "archive & <b>", "röntgen")
]


class Guarded(PipelineParams):
    """One parameter of each kind that a form has a field for, and one that it has none for."""

    strength: float = Field(0.6, ge=0, le=1, description="how much")
    passes: int = Field(2, ge=1, le=9)
    sharpen: bool = False
    kernel: str = "soft"
    title: str | None = None
    keep: tuple[str, ...] = ()
    guards: GuardFactors = Field({}, description="factors")
    windows: tuple[tuple[float, float], ...] = ()


PIPELINES: dict[str, type[PipelineParams]] = {"denoise": Guarded, "plain": PipelineParams}
SCHEMAS = {name: model.model_json_schema() for name, model in PIPELINES.items()}

WORDS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), min_size=1, max_size=12)
ODD = st.sampled_from(
    [
        "no",
        "true",
        "5",
        "5.0",
        "007",
        "1e5",
        " x ",
        '"5"',
        "a\nb",
        "a\r\nb",
        "\t",
        "\u00a0x",
        "<i>",
        "&amp;",
        "x,y",
        "'",
    ]
)
TEXT = st.one_of(WORDS, ODD).filter(str.strip)
NUMBERS = st.one_of(st.integers(-(10**15), 10**15), st.floats(-1e12, 1e12))
VALUES = st.one_of(TEXT, NUMBERS, st.booleans())
OPERANDS = {
    **dict.fromkeys(("equals", "not_equals"), VALUES),
    "in": st.lists(VALUES, min_size=1, max_size=4),
    **dict.fromkeys(("contains", "starts_with", "ends_with"), TEXT),
    **dict.fromkeys(("lt", "le", "gt", "ge"), st.one_of(TEXT, NUMBERS)),
    "between": st.one_of(
        st.lists(NUMBERS, min_size=2, max_size=2).map(sorted), st.lists(TEXT, min_size=2, max_size=2).map(sorted)
    ),
    "exists": st.booleans(),
}
ATTRIBUTES = [
    {"attribute": "Modality"},
    {"attribute": "StudyDate", "every": True},
    {"attribute": "SliceThickness"},
    {"attribute": "0018,0050", "every": True},
    {"attribute": "0019,100C", "private_creator": "SIEMENS MR HEADER"},
    {"attribute": "RequestAttributesSequence.ScheduledProcedureStepID"},
    {"attribute": "OtherPatientIDsSequence"},
]
_OF_KIND = {"number": NUMBERS, "text": TEXT, "truth value": st.booleans()}


@st.composite
def tests(draw: st.DrawFn) -> dict[str, Any]:
    """One test on an attribute or a fact."""
    operator = draw(st.sampled_from(sorted(OPERANDS)))
    if draw(st.booleans()):
        return {**draw(st.sampled_from(ATTRIBUTES)), operator: draw(OPERANDS[operator])}
    name = draw(st.sampled_from(sorted(COMPUTED_FACTS)))
    value = _OF_KIND[COMPUTED_FACTS[name].kind]
    choices = {"equals": value, "not_equals": value, "in": st.lists(value, min_size=1, max_size=3)}
    operator = draw(st.sampled_from(["equals", "exists", "in", "not_equals"]))
    return {"fact": name, operator: draw(choices.get(operator, st.booleans()))}


CONDITIONS = st.recursive(
    tests(),
    lambda inner: st.one_of(
        st.builds(lambda items: {"all": items}, st.lists(inner, max_size=3)),
        st.builds(lambda items: {"any": items}, st.lists(inner, min_size=1, max_size=3)),
        st.builds(lambda item: {"not": item}, inner),
    ),
    max_leaves=8,
)
PARAMS = st.fixed_dictionaries(
    {},
    optional={
        "strength": st.floats(0, 1),
        "passes": st.integers(1, 9),
        "sharpen": st.booleans(),
        "kernel": st.one_of(TEXT, st.just("")),
        "title": st.one_of(st.none(), TEXT, st.just("  ")),
        "keep": st.lists(st.one_of(TEXT, st.just("")), max_size=3),
        "guards": st.sampled_from([{}, {"blob_score": 0.8}, {"change": 1, "noise_tail": 1.25}]),
        "windows": st.sampled_from([[], [[0.0, 1.5]], [[-1, 2], [3, 4]]]),
    },
)
NAMES = st.text(st.characters(categories=["L", "N", "P", "S"]), min_size=1, max_size=20)


@st.composite
def rules(draw: st.DrawFn) -> dict[str, Any]:
    """A rule's plain document as a node writes it."""
    names = [each["name"] for each in DESTINATIONS]
    enhance: dict[str, Any] = {"pipeline": draw(st.sampled_from(["denoise", "plain"]))}
    if enhance["pipeline"] == "denoise":
        enhance["params"] = draw(PARAMS)
    document = {
        "name": draw(NAMES),
        "state": draw(st.sampled_from(["draft", "shadow"])),
        "when": draw(CONDITIONS),
        "enhance": draw(st.sampled_from([None, enhance])),
        "deliver_to": draw(st.lists(st.sampled_from(names), max_size=3)),
        "priority": draw(st.sampled_from(["stat", "normal", "off-peak"])),
        "deadline_minutes": draw(st.one_of(st.none(), st.integers(1, 60), st.floats(0.001, 10080))),
        "on_overload": draw(st.sampled_from(["wait", "originals"])),
        "writer": draw(st.sampled_from([{}, {"series_number_offset": 500, "keep_private": ["GEMS_IDEN_01", "a b"]}])),
    }
    try:
        site = check_site({"destinations": DESTINATIONS, "rules": [document]}, PIPELINES)
    except SiteRefused as refused:
        raise AssertionError(f"drew a rule that no node takes: {refused}") from refused
    assert isinstance(site, Site)
    return site.rules[0].to_document()
