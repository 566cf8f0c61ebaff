"""A real OpenID Connect provider (npm's oidc-provider, run by node), and a browser's way through it."""

import fcntl
import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urljoin

import httpx
import pytest
from support.browser import WITHOUT_BROWSER
from support.peers import free_port

FOLDER = Path(__file__).resolve().parents[1] / "web/oidc"
SECRET = "a secret of the tests"
INSTALL_SECONDS = 300


@dataclass(frozen=True)
class Person:
    """What the provider says of a login."""

    name: str
    groups: tuple[str, ...] = ()


@contextmanager
def provider(
    redirect_uri: str, people: Mapping[str, Person], *, everything_in_the_id_token: bool = False
) -> Iterator[str]:
    """A running provider that knows these people by their login; its issuer. Without groups in the ID token unless told
    otherwise, as the standard has it (OpenID Connect Core 5.4).
    """
    _install()
    port = free_port()
    config = {
        "port": port,
        "redirectUri": redirect_uri,
        "leftUri": redirect_uri.removesuffix("/back"),
        "people": {login: {"name": each.name, "groups": each.groups} for login, each in people.items()},
        "everythingInTheIdToken": everything_in_the_id_token,
    }
    command = ["node", "provider.mjs", json.dumps(config)]
    with subprocess.Popen(command, cwd=FOLDER, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            assert process.stdout is not None
            if process.stdout.readline() != "listening\n":
                pytest.fail("the OpenID Connect provider did not start: run `node provider.mjs` in tests/web/oidc")
            yield f"http://127.0.0.1:{port}"
        finally:
            process.kill()


def pass_through(address: str, login: str, own: str) -> str:
    """Sign in as `login` at the provider and consent, as a person would. Returns where it sends back to."""
    with httpx.Client(trust_env=False, verify=False, timeout=60) as browser:
        answer = browser.get(address)
        for _ in range(12):
            if answer.is_redirect:
                address = urljoin(str(answer.url), answer.headers["location"])
                if address.startswith(own):
                    return address
                answer = browser.get(address)
                continue
            prompt = re.search(r'name="prompt" value="(\w+)"', answer.text)
            assert prompt is not None, answer.text[:500]
            form = {"prompt": prompt[1], "login": login, "password": "any"}
            answer = browser.post(str(answer.url), data=form)
    pytest.fail("the provider sends nobody back")


def sign_out(address: str, own: str) -> str:
    """Sign out there, as a person would who has nothing but the address. Returns where it sends back to."""
    with httpx.Client(trust_env=False, timeout=60) as browser:
        answer = browser.get(address)
        secret = re.search(r'name="xsrf" value="(\w+)"', answer.text)
        assert secret is not None, answer.text[:500]
        answer = browser.post(f"{answer.url.copy_with(query=None)}/confirm", data={"xsrf": secret[1], "logout": "yes"})
        assert answer.headers["location"].startswith(own), answer.text[:500]
        return str(answer.headers["location"])


def _install() -> None:
    if not shutil.which("node") or not shutil.which("npm"):
        pytest.fail(f"this test needs node and npm: install them, or set {WITHOUT_BROWSER}=1 to leave it out")
    with _alone():
        if _is_whole():
            return
        command = ["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts"]
        done = subprocess.run(command, cwd=FOLDER, capture_output=True, text=True, timeout=INSTALL_SECONDS, check=False)
        if done.returncode:
            pytest.fail(f"npm cannot install the OpenID Connect provider: {done.stderr[-500:]}")


@contextmanager
def _alone() -> Iterator[None]:
    """One test process at a time: two would install into the same folder, and a third start what is half there."""
    folder = os.open(FOLDER, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def _is_whole() -> bool:
    """Whether npm came to the end of installing: it writes this list last."""
    return (FOLDER / "node_modules/.package-lock.json").is_file()
