"""By which names browsers reach this node, and whether the way to it is encrypted."""

from urllib.parse import urlsplit

from starlette.requests import HTTPConnection

from dicomnode.settings.web import LOOPBACK_NAMES, WebSettings


def is_secure(request: HTTPConnection, web: WebSettings) -> bool:
    """Whether browsers come by https: to a proxy, as `web.public_url` says, or as the proxy itself says."""
    return request.url.scheme == "https" or web.public_url.startswith("https:")


def is_known_host(request: HTTPConnection, web: WebSettings) -> bool:
    """Whether the request is for a name that is ours.

    A page elsewhere can let its own name point here (DNS rebinding), and would then be of one origin with us. So
    only names that nobody else can own pass: loopback, the configured host, `web.public_url`, and the very address
    that the connection came to.
    """
    try:
        host = urlsplit(f"//{request.headers.get('host', '')}").hostname
    except ValueError:
        return False
    ours = {web.host.lower(), urlsplit(web.public_url).hostname, *LOOPBACK_NAMES, _arrived_at(request)}
    return host is not None and host in ours


def own_origins(request: HTTPConnection, web: WebSettings) -> frozenset[str]:
    """What a browser calls the origin of our own pages, in lower case; the host has been checked before."""
    arrived = f"{request.url.scheme}://{request.headers.get('host', '')}"
    return frozenset({arrived.lower(), web.public_url.lower()} - {""})


def _arrived_at(request: HTTPConnection) -> str | None:
    server = request.scope.get("server")
    return None if server is None else str(server[0]).lower()
