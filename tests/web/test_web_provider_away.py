"""A sign-in provider that answers with nonsense, or for ever: it is asked once for all who wait, and given up."""

import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from joserfc.jwk import ECKey, KeySet

from dicomnode.desk.accounts.vouched import Attempt
from dicomnode.settings import OidcSettings
from dicomnode.web.access import in_time as questions
from dicomnode.web.access import provider as asking
from dicomnode.web.access.in_time import in_time
from dicomnode.web.access.provider import Provider, ProviderFails

ATTEMPT = Attempt(state="s", nonce="n", code_verifier="v" * 43, return_to="/")
DESCRIPTION, KEYS, TOKEN = "/.well-known/openid-configuration", "/jwks", "/token"
DRAWN_OUT = "byte by byte"
HTML = b"<html>The proxy has a bad day</html>"
_KEYS = KeySet([ECKey.generate_key("P-256", auto_kid=True)])


class Behind:
    """What stands between the node and its provider: bytes by path, or DRAWN_OUT; `asked` says what was."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.drawing, self.patience = threading.Event(), threading.Event()
        behind = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                behind.asked.append(self.path)
                self.send_response(200)
                self.end_headers()
                answer = behind.answers[self.path]
                if isinstance(answer, bytes):
                    self.wfile.write(answer)
                if answer is DRAWN_OUT:
                    behind.drawing.set()
                    with suppress(ConnectionError):  # whoever asked has given up
                        while not behind.patience.wait(0.02):
                            self.wfile.write(b" ")

            do_POST = do_GET

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.issuer = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()
        names = {"authorization_endpoint": "/auth", "token_endpoint": TOKEN, "jwks_uri": KEYS}
        described = {"issuer": self.issuer, **{name: self.issuer + path for name, path in names.items()}}
        self.good = {
            DESCRIPTION: json.dumps(described).encode(),
            KEYS: json.dumps(_KEYS.as_dict(private=False)).encode(),
        }
        self.answers: dict[str, bytes | str] = dict(self.good)

    def provider(self) -> Provider:
        oidc = OidcSettings(issuer=self.issuer, client_id="dicomnode", roles={"g": ("viewer",)})
        return Provider(oidc, "http://node.example")


@pytest.fixture
def behind(monkeypatch: pytest.MonkeyPatch) -> Iterator[Behind]:
    monkeypatch.setattr(asking, "SECONDS", 60.0)
    monkeypatch.setattr(asking, "AWAY_SECONDS", 60.0)
    found = Behind()
    yield found
    found.patience.set()
    found.server.shutdown()
    found.server.server_close()


def impatient(behind: Behind, monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on who asks gives up as soon as the answer is being drawn out, instead of after `SECONDS` in all."""

    class Impatient(Future[Any]):
        def result(self, timeout: float | None = None) -> Any:
            assert timeout == asking.SECONDS
            assert behind.drawing.wait(60.0)
            return super().result(0.1)

    monkeypatch.setattr(questions, "Future", Impatient)


def together(count: int, ask: Callable[[], object]) -> None:
    """So many at once, each of whom is sent away."""
    refused: list[str] = []

    def one() -> None:
        try:
            ask()
        except ProviderFails as failure:
            refused.append(str(failure))

    threads = [threading.Thread(target=one) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(refused) == count


@pytest.mark.parametrize(
    ("path", "answer"),
    [(DESCRIPTION, HTML), (DESCRIPTION, b"[]"), (DESCRIPTION, b"{}"), (KEYS, HTML), (KEYS, b'{"keys": 7}')],
)
def test_nonsense_is_asked_for_once(behind: Behind, path: str, answer: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    behind.answers[path] = answer
    provider = behind.provider()
    together(4, lambda: provider.address(ATTEMPT))
    together(1, lambda: provider.vouched(ATTEMPT, "code"))
    assert provider.sign_out_address() == ""
    assert behind.asked.count(path) == 1
    behind.answers = dict(behind.good)
    monkeypatch.setattr(asking, "AWAY_SECONDS", 0.0)
    assert provider.address(ATTEMPT).startswith(f"{behind.issuer}/auth")


@pytest.mark.parametrize("path", [DESCRIPTION, KEYS])
def test_an_answer_that_never_ends_is_given_up_and_asked_for_once(
    behind: Behind, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each byte comes in time; the answer does not."""
    impatient(behind, monkeypatch)
    behind.answers[path] = DRAWN_OUT
    provider = behind.provider()
    for _ in range(3):
        with pytest.raises(ProviderFails, match="does not answer"):
            provider.address(ATTEMPT)
    assert behind.asked.count(path) == 1


def test_who_somebody_is_must_be_said_in_time(behind: Behind, monkeypatch: pytest.MonkeyPatch) -> None:
    provider = behind.provider()
    provider.address(ATTEMPT)
    impatient(behind, monkeypatch)
    behind.answers[TOKEN] = DRAWN_OUT
    with pytest.raises(ProviderFails, match="does not answer"):
        provider.vouched(ATTEMPT, "code")


def test_what_a_question_brings_is_what_was_said() -> None:
    assert in_time(lambda: 7, 60.0) == 7
    with pytest.raises(ZeroDivisionError):
        in_time(lambda: 1 // 0, 60.0)


def test_questions_that_nobody_waits_for_any_more_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(questions, "_room", threading.BoundedSemaphore(1))
    over, asked = threading.Event(), []
    with pytest.raises(TimeoutError):
        in_time(over.wait, 0.01)
    with pytest.raises(TimeoutError, match="waited for already"):
        in_time(lambda: asked.append(1), 60.0)
    assert asked == []
    over.set()
    assert questions._room.acquire(timeout=60.0), "it is over"
    questions._room.release()
    assert in_time(lambda: 7, 60.0) == 7
