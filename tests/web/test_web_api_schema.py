"""Every call of the API with anything that its schema allows, over a house full of data: never a fault of the node,
and never an answer that the schema does not tell of."""

import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from fastapi import FastAPI
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import content_type_conformance, response_schema_conformance
from sqlalchemy import select
from support.house import copy_of
from support.webapp import HOST, Headless, account

from dicomnode.db.models import Account, Delivery, Enhancement, Replay, Series
from dicomnode.db.repositories import site as site_rows
from dicomnode.desk.accounts import tokens
from dicomnode.desk.person import Person
from dicomnode.web.api.schema import document_of
from dicomnode.web.application import create_app

pytestmark = [pytest.mark.peers]

CHECKS = (not_a_server_error, response_schema_conformance, content_type_conformance)


@pytest.fixture(scope="module")
def node(house_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Headless]:
    node = copy_of(house_folder, tmp_path_factory.mktemp("api"))
    yield node
    node.flow.database.close()


@pytest.fixture(scope="module")
def app(node: Headless) -> FastAPI:
    return create_app(node)


class Key:
    """An administrator's token, a new one for each operation: what is tried may revoke it."""

    def __init__(self, node: Headless) -> None:
        self._flow = node.flow
        row = account(node.flow, "admin", name=f"robot {secrets.token_hex(4)}")
        self._person = Person(row.name, ("admin",), "session", row.id)

    def headers(self) -> dict[str, str]:
        _, secret = tokens.make(self._flow, self._person, "a test", ["admin"], 1)
        return {"Authorization": f"Bearer {secret}"}


@pytest.mark.parametrize("examples", [8, pytest.param(100, marks=[pytest.mark.long, pytest.mark.timeout(1800)])])
def test_no_call_fails_or_answers_what_its_schema_does_not_tell(app: FastAPI, node: Headless, examples: int) -> None:
    schema = schemathesis.openapi.from_asgi("/api/openapi.json", app, headers={"Host": HOST.split("//")[1]})
    key, known, found = Key(node), real_values(node), []
    operations = [each.ok() for each in schema.get_all_operations()]
    for operation in operations:
        try:
            attempt(operation, key.headers(), known, examples)
        except Exception as error:
            found.append(f"{operation.label}: {error}")
    assert found == []
    assert len(operations) > 70


def attempt(operation: Any, headers: dict[str, str], known: dict[str, list[Any]], examples: int) -> None:
    """So many calls, with names of the house in half of them. Raises what the first one that fails shows."""

    section = operation.path.removeprefix("/api/v1/").split("/")[0]
    section = "replays" if "/replays/" in operation.path else section

    @given(case=operation.as_strategy(), data=st.data())
    @settings(
        max_examples=examples,
        derandomize=True,
        deadline=None,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    def once(case: Any, data: st.DataObject) -> None:
        for given_as in (case.path_parameters, case.query):
            for name in given_as or {}:
                if (values := known.get(name) or known.get(f"{section}/{name}")) and data.draw(st.booleans()):
                    given_as[name] = data.draw(st.sampled_from(values))
        case.call_and_validate(headers=headers, checks=CHECKS)

    once()


def real_values(node: Headless) -> dict[str, list[Any]]:
    """What parameters of the API are called, in a part of its paths where that makes a difference, and what of the
    house they may name."""
    with node.flow.database.read() as session:
        site = site_rows.newest(session)
        found: dict[str, list[Any]] = {
            "uid": list(session.scalars(select(Series.uid))),
            "jobs/id": list(session.scalars(select(Enhancement.id))),
            "deliveries/id": list(session.scalars(select(Delivery.id))),
            "replays/id": list(session.scalars(select(Replay.id))),
            "account_id": list(session.scalars(select(Account.id))),
        }
    assert site is not None
    rules, destinations = ([each["name"] for each in site.document[kind]] for kind in ("rules", "destinations"))
    pipelines = [entry.name for entry in node.flow.registry]
    names = {"destinations/name": destinations, "pipelines/name": pipelines, "rules/name": rules}
    return {**found, **names, "rule": rules, "number": [1, 2], "series": found["uid"]}


def test_the_document_tells_of_problems_as_they_are(app: FastAPI) -> None:
    document = document_of(app)
    answers = document["paths"]["/api/v1/me"]["get"]["responses"]
    assert set(answers) == {"200", "default"}
    assert set(answers["default"]["content"]) == {"application/problem+json"}
    assert "HTTPValidationError" not in document["components"]["schemas"]
