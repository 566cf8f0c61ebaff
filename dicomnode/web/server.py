"""Uvicorn in a thread: the main thread keeps the signals."""

import socket
import threading
import time
from collections.abc import Sequence

import uvicorn
from fastapi import FastAPI

from dicomnode.web.connections import AT_ONCE, BoundedConnection


class WebPortTaken(Exception):
    """Another program listens on the web port."""


class WebServer:
    """Serves the application until stopped. `proxies`: who is believed about where a request comes from, and how."""

    def __init__(self, application: FastAPI, host: str, port: int, proxies: Sequence[str] = ()) -> None:
        self._socket = _listen(host, port)
        config = uvicorn.Config(
            application,
            http=BoundedConnection,
            backlog=AT_ONCE,
            ws="none",
            log_config=None,
            access_log=False,
            lifespan="off",
            server_header=False,
            forwarded_allow_ips=list(proxies),
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [self._socket]}, name="web", daemon=True
        )

    def start(self) -> None:
        self._thread.start()
        while not self._server.started and self._thread.is_alive():
            time.sleep(0.01)

    def stop(self) -> None:
        self._server.should_exit = True
        self._thread.join(5.0)
        self._socket.close()


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise WebPortTaken(f"web port {port} on {host} cannot be opened: {error.strerror}") from error
    return listener
