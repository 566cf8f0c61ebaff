"""What stands before every route, whoever asks: hosts, origins, sizes; and the headers of every answer.

One ASGI layer, outside of everything else: a route can neither forget it nor be reached around it.
"""

from collections.abc import Mapping

from fastapi import Request
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dicomnode.settings.web import WebSettings
from dicomnode.web.access.origin import is_known_host, own_origins
from dicomnode.web.problem import answer, is_api

POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)
HEADERS: Mapping[str, str] = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
}
"""`no-referrer` would have browsers send `Origin: null` with our own forms (Fetch, "append a request Origin header"),
and over plain http that header is all that tells them from another site's."""

SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
MONITORS = frozenset({"/healthz", "/readyz", "/metrics"})
"""Reached by any name: monitors have their own for a machine, and there is nothing here to take."""
LONGEST_BODY = 4 << 20
"""In bytes. The longest thing that anybody sends is a site document."""
FAULT = "this is not your fault, and is in the node's log; nothing was changed"


class TooLong(Exception):
    """The body goes on behind `LONGEST_BODY`."""


class Barrier:
    """Wraps the application."""

    def __init__(self, app: ASGIApp, web: WebSettings) -> None:
        self._app, self._web = app, web

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":  # starting and stopping; there is no route for anything else
            await self._app(scope, receive, send)
            return
        request = Request(scope)
        started = False

        async def send_with_headers(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                _add_headers(MutableHeaders(scope=message), request.url.path)
            await send(message)

        if refusal := self._refusal(request):
            status, title, detail = refusal
            await answer(request, status, title, detail)(scope, receive, send_with_headers)
            return
        try:
            await self._app(scope, _bounded(receive), send_with_headers)
        except TooLong:
            if not started:
                await answer(request, 413, "too long", _too_long())(scope, receive, send_with_headers)
        except Exception:
            if not started:
                await answer(request, 500, "a fault of the node", FAULT)(scope, receive, send_with_headers)
            raise

    def _refusal(self, request: Request) -> tuple[int, str, str] | None:
        """Status, title and detail, where the request goes no further."""
        if request.url.path not in MONITORS and not is_known_host(request, self._web):
            return (
                421,
                "not this host",
                "this node goes by another name; if this is one of its names, set web.public_url",
            )
        if request.method not in SAFE and not self._is_ours(request):
            return 403, "from elsewhere", "this request comes from another site; open the page here and try again"
        length = request.headers.get("content-length", "0")
        if not length.isdecimal() or int(length) > LONGEST_BODY:
            return 413, "too long", _too_long()
        return None

    def _is_ours(self, request: Request) -> bool:
        """Whether a page of ours, or a program with a token, sends this. Who has no cookies cannot be made use of, but
        signing somebody in as somebody else is an attack too, so pages ask for it in any case.
        """
        headers = request.headers
        if headers.get("authorization", "").lower().startswith("bearer "):
            return True
        if "cookie" not in headers and is_api(request):
            return True
        if (site := headers.get("sec-fetch-site")) is not None:
            return site == "same-origin"
        return headers.get("origin", "").lower() in own_origins(request, self._web)


def _add_headers(headers: MutableHeaders, path: str) -> None:
    for name, value in HEADERS.items():
        headers[name] = value
    if not path.startswith("/static/"):
        headers.setdefault("cache-control", "no-store")


def _bounded(receive: Receive) -> Receive:
    """The same, until more came than a request may bring."""
    length = 0

    async def receive_within() -> Message:
        nonlocal length
        message = await receive()
        length += len(message.get("body", b""))
        if length > LONGEST_BODY:
            raise TooLong
        return message

    return receive_within


def _too_long() -> str:
    return f"a request has at most {LONGEST_BODY >> 20} MiB"
