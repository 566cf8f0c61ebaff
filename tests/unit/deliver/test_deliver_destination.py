"""How many associations a destination takes: its own entry first, then the node's setting, then one."""

import pytest
from pydantic import ValidationError

from dicomnode.deliver.destination import Destination
from dicomnode.domain.site import Site
from dicomnode.settings import DeliverySettings

ENTRY = {"name": "pacs", "kind": "dimse", "ae_title": "PACS", "host": "pacs.example.org", "port": 104}


def destination(setting: int, **entry: object) -> Destination:
    (found,) = Site.model_validate({"destinations": [{**ENTRY, **entry}]}).destinations
    return Destination.of(found, {}, setting)


@pytest.mark.parametrize(("entry", "setting", "expected"), [({}, 1, 1), ({}, 4, 4), ({"associations": 2}, 4, 2)])
def test_the_entry_wins_over_the_setting(entry: dict[str, object], setting: int, expected: int) -> None:
    assert destination(setting, **entry).associations == expected
    assert DeliverySettings().associations == 4


def test_a_changed_number_is_another_destination() -> None:
    """So that the dispatcher gives it a new sender."""
    assert destination(1) != destination(2)
    assert destination(1) == destination(4, associations=1)


@pytest.mark.parametrize("number", [0, -1, 33, 1.5, True, "2"])
def test_senseless_numbers_are_refused(number: object) -> None:
    with pytest.raises(ValidationError):
        destination(1, associations=number)


def test_site_data_keep_what_was_written() -> None:
    site = Site.model_validate({"destinations": [{**ENTRY, "associations": 3}]})
    assert Site.model_validate(site.to_document()) == site
    assert "associations" not in Site.model_validate({"destinations": [ENTRY]}).to_document()["destinations"][0]
