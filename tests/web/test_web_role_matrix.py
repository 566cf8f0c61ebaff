"""Every route with every role and with none, against a table written by hand: `role_matrix.toml`.

The table is the second opinion. Whoever adds a route says there in so many words who may, besides naming the permission
in the code; this test holds the two against each other by really asking.
"""

import re
import tomllib
from pathlib import Path

import pytest
from httpx import Response
from support.webapp import Headless, client, headless

from dicomnode.domain.roles import Role
from dicomnode.web.access.gate import gates
from dicomnode.web.application import create_app

TABLE: dict[str, list[str]] = tomllib.loads(Path(__file__).with_name("role_matrix.toml").read_text("utf-8"))
ROLES = [role.value for role in Role]
ANYBODY = "anybody"
SIGN_IN = {"GET /sign-in", "POST /sign-in", "POST /sign-out", "GET /sign-in/provider", "GET /sign-in/back"}
"""These lead to the sign-in by their nature, or end the session that the other requests need."""


def may(line: str, role: str | None) -> bool:
    return ANYBODY in TABLE[line] or role in TABLE[line]


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Headless:
    return headless(tmp_path_factory.mktemp("matrix"))


def was_let_in(answer: Response) -> bool:
    to_sign_in = answer.status_code == 303 and answer.headers["location"].startswith("/sign-in")
    return answer.status_code not in (401, 403) and not to_sign_in


def test_the_table_names_exactly_the_routes_there_are(node: Headless) -> None:
    assert {f"{method} {path}" for method, path in gates(create_app(node))} == set(TABLE)


def test_the_table_speaks_of_roles() -> None:
    assert {role for line in TABLE.values() for role in line} <= {*ROLES, ANYBODY}


@pytest.mark.parametrize("role", [*ROLES, None])
def test_who_may_is_let_in_and_nobody_else(node: Headless, role: str | None) -> None:
    wrong = []
    with client(node, *([role] if role else [])) as browser:
        for line in TABLE.keys() - SIGN_IN:
            method, _, path = line.partition(" ")
            answer = browser.request(method, re.sub(r"\{[^}]*\}", "999999", path))
            if was_let_in(answer) is not may(line, role):
                wrong.append(f"{line} answered {answer.status_code}, and the table says {TABLE[line]}")
    assert not wrong, "\n".join(wrong)


def test_signing_out_is_for_who_is_signed_in(node: Headless) -> None:
    stranger = client(node).post("/sign-out")
    assert (stranger.status_code, stranger.headers["location"]) == (303, "/sign-in")
    assert "set-cookie" not in stranger.headers
    for role in ROLES:
        assert "set-cookie" in client(node, role, name=f"leaving {role}").post("/sign-out").headers
