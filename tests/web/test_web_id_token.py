"""ID tokens that a provider would never make, signed and unsigned: none of them is believed."""

import base64
import hmac
import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import KeySet, RSAKey

from dicomnode.desk.accounts.vouched import Attempt, Vouched
from dicomnode.settings import OidcSettings
from dicomnode.web.access.provider import Provider, ProviderFails

ATTEMPT = Attempt(state="s", nonce="the nonce", code_verifier="v" * 43, return_to="/")


class Forger:
    """A provider whose answers a test writes: the description, the keys, the ID token and userinfo."""

    def __init__(self) -> None:
        self.key = RSAKey.generate_key(2048, auto_kid=True)
        self.published = [self.key]
        self.token = ""
        self.description: dict[str, Any] = {}
        self.userinfo: dict[str, Any] = {"sub": "u1", "groups": ["from userinfo"], "preferred_username": "ursula"}
        forger = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._send(forger.answer(self.path))

            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["Content-Length"]))
                self._send({"access_token": "a", "token_type": "Bearer", "expires_in": 30, "id_token": forger.token})

            def _send(self, document: Any) -> None:
                body = json.dumps(document).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.issuer = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def answer(self, path: str) -> Any:
        if path == "/jwks":
            return KeySet(self.published).as_dict(private=False)
        if path == "/userinfo":
            return self.userinfo
        names = ("authorization_endpoint", "token_endpoint", "jwks_uri", "userinfo_endpoint")
        places = dict(zip(names, ("auth", "token", "jwks", "userinfo"), strict=True))
        described = {name: f"{self.issuer}/{place}" for name, place in places.items()}
        return {"issuer": self.issuer, **described, **self.description}

    def claims(self, **changed: Any) -> dict[str, Any]:
        now = int(time.time())
        right = {
            "iss": self.issuer,
            "aud": "dicomnode",
            "sub": "u1",
            "iat": now,
            "exp": now + 60,
            "nonce": "the nonce",
            "preferred_username": "ursula",
            "groups": ["g"],
        }
        return {name: value for name, value in {**right, **changed}.items() if value is not None}

    def sign(self, key: Any = None, algorithm: str = "RS256", **changed: Any) -> None:
        key = key or self.key
        header = {"alg": algorithm, "kid": key.kid}
        self.token = jwt.encode(header, self.claims(**changed), key, algorithms=[algorithm])

    def vouched(self, provider: Provider | None = None) -> Vouched:
        return (provider or self.provider()).vouched(ATTEMPT, "code")

    def provider(self) -> Provider:
        oidc = OidcSettings(issuer=self.issuer, client_id="dicomnode", roles={"g": ("viewer",)})
        return Provider(oidc, "http://node.example")


@pytest.fixture(scope="module")
def running() -> Iterator[Forger]:
    forger = Forger()
    yield forger
    forger.server.shutdown()
    forger.server.server_close()


@pytest.fixture
def forger(running: Forger, monkeypatch: pytest.MonkeyPatch) -> Forger:
    monkeypatch.setattr("dicomnode.web.access.provider.SECONDS", 60.0)
    monkeypatch.setattr("dicomnode.web.access.provider.AWAY_SECONDS", 60.0)
    running.published, running.description = [running.key], {}
    running.userinfo = {"sub": "u1", "groups": ["from userinfo"], "preferred_username": "ursula"}
    return running


def test_a_right_token_is_believed(forger: Forger) -> None:
    forger.sign(aud=["dicomnode", "another"], azp="dicomnode")
    assert forger.vouched() == Vouched(forger.issuer, "u1", "ursula", "", ("g",))


@pytest.mark.parametrize(
    "changed",
    [
        {"iss": "http://127.0.0.1:1"},
        {"iss": None},
        {"aud": "another"},
        {"aud": None},
        {"azp": "another"},
        {"sub": None},
        {"sub": ""},
        {"sub": 7},
        {"nonce": "of another sign-in"},
        {"nonce": None},
        {"exp": 1_000_000_000},
        {"exp": None},
        {"iat": None},
        {"iat": 9_999_999_999},
    ],
)
def test_a_claim_that_is_wrong_or_absent_makes_it_worthless(forger: Forger, changed: dict[str, Any]) -> None:
    forger.sign(**changed)
    with pytest.raises(ProviderFails, match="did not confirm"):
        forger.vouched()


def test_a_signature_by_anybody_else_makes_it_worthless(forger: Forger) -> None:
    other = RSAKey.generate_key(2048, parameters={"kid": forger.key.kid})
    forger.sign(other)
    with pytest.raises(ProviderFails):
        forger.vouched()
    forger.sign()
    head, body, signature = forger.token.split(".")
    forger.token = f"{head}.{body}.{signature[:-4]}AAAA"
    with pytest.raises(ProviderFails):
        forger.vouched()


def test_a_signature_that_needs_no_private_key_is_none(forger: Forger) -> None:
    """`alg: none`, and the public key used as a shared secret."""
    forger.sign()
    _, body, _ = forger.token.split(".")
    none = _part(b'{"alg":"none"}')
    shared = _part(json.dumps({"alg": "HS256", "kid": forger.key.kid}).encode())
    mac = hmac.digest(forger.key.as_pem(private=False), f"{shared}.{body}".encode(), "sha256")
    for forged in (f"{none}.{body}.", f"{shared}.{body}.{_part(mac)}"):
        forger.token = forged
        with pytest.raises(ProviderFails):
            forger.vouched()


def _part(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def test_new_keys_of_the_provider_are_fetched_when_one_is_unknown(forger: Forger) -> None:
    provider = forger.provider()
    forger.sign()
    forger.vouched(provider)
    new = RSAKey.generate_key(2048, auto_kid=True)
    forger.published = [new]
    forger.sign(new)
    assert forger.vouched(provider).subject == "u1"


def test_userinfo_counts_where_it_speaks_of_the_same_person(forger: Forger) -> None:
    forger.sign(groups=None)
    assert forger.vouched().groups == ("from userinfo",)
    forger.userinfo["sub"] = "somebody else"
    with pytest.raises(ProviderFails):
        forger.vouched()


@pytest.mark.parametrize("groups", ["g", {"g": 1}, 7, [["g"], 7]])
def test_groups_are_a_list_of_names(forger: Forger, groups: Any) -> None:
    forger.sign(groups=groups)
    assert forger.vouched().groups == ()


@pytest.mark.parametrize(
    "description",
    [
        {"issuer": "https://elsewhere.example"},
        {"token_endpoint": "ftp://x/"},
        {"jwks_uri": None},
        {"userinfo_endpoint": "ftp://x/"},
        {"end_session_endpoint": "javascript:alert(1)"},
    ],
)
def test_a_description_of_somebody_else_is_not_believed(forger: Forger, description: dict[str, Any]) -> None:
    forger.description = description
    with pytest.raises(ProviderFails, match="did not confirm"):
        forger.provider().address(ATTEMPT)


def test_one_that_names_itself_in_its_answers_does_so_in_each(forger: Forger) -> None:
    """RFC 9207, 2.4: an answer without the name may be another provider's."""
    provider = forger.provider()
    provider.address(ATTEMPT)
    assert (provider.is_issuer(None), provider.is_issuer(forger.issuer), provider.is_issuer("x")) == (True, True, False)
    forger.description = {"authorization_response_iss_parameter_supported": True}
    strict = forger.provider()
    strict.address(ATTEMPT)
    assert (strict.is_issuer(None), strict.is_issuer(forger.issuer)) == (False, True)


def test_where_to_sign_out_there(forger: Forger) -> None:
    assert forger.provider().sign_out_address() == "", "it has no such place"
    forger.description = {"end_session_endpoint": f"{forger.issuer}/end?of=realm"}
    back = "client_id=dicomnode&post_logout_redirect_uri=http%3A%2F%2Fnode.example%2Fsign-in"
    assert forger.provider().sign_out_address() == f"{forger.issuer}/end?of=realm&{back}"


def test_one_that_is_away_holds_nobody_up_twice(forger: Forger, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever asks waits for it in a thread of the pages, and anybody may ask."""
    asked = []
    provider = forger.provider()

    def get(*_: Any, **__: Any) -> Any:
        asked.append(1)
        raise httpx.ConnectTimeout("nobody there")

    with monkeypatch.context() as away:
        away.setattr(httpx.Client, "get", get)
        for _ in range(3):
            with pytest.raises(ProviderFails, match="does not answer"):
                provider.address(ATTEMPT)
        assert provider.sign_out_address() == ""
    assert len(asked) == 1
    monkeypatch.setattr("dicomnode.web.access.provider.AWAY_SECONDS", 0.0)
    assert provider.address(ATTEMPT).startswith(forger.issuer)
