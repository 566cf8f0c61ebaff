"""`serve` and `worker`: the two long-running commands."""

import os
import signal
import sys
import threading
from typing import Annotated

import typer

from dicomnode.app import CannotStart, Node, build_worker
from dicomnode.cli.common import ConfigOption, fail, settings_of
from dicomnode.desk.certificates import own_certificates
from dicomnode.enhance.codecs import missing_codecs
from dicomnode.enhance.errors import EnhanceError
from dicomnode.jobs.victim import go_first
from dicomnode.observe import log
from dicomnode.receive.listening import CannotListen
from dicomnode.settings import CONFIG_VARIABLE
from dicomnode.store.errors import StoreError


def serve(config: ConfigOption = None) -> None:
    """Run the node until SIGTERM or Ctrl-C; then drain: nothing accepted is lost, running work is given back."""
    # Imported here: FastAPI is a sixth of the program's start, and no other command needs it.
    from dicomnode.web.application import create_app
    from dicomnode.web.server import WebPortTaken, WebServer

    settings = settings_of(config)
    if config is not None:
        os.environ[CONFIG_VARIABLE] = str(config.resolve())
    for codec in missing_codecs():
        log.warning("codec missing: such series are stored and forwarded, never enhanced", codec=codec)
    for certificate in own_certificates(settings):
        if certificate.warning:
            log.warning(certificate.warning)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    try:
        node = Node(settings, ["-m", "dicomnode", "worker"])
        web = WebServer(create_app(node), settings.web.host, settings.web.port, settings.web.believed_proxies)
        node.start()
    except (CannotStart, CannotListen, StoreError, WebPortTaken) as error:
        fail(str(error))
    except OSError as error:
        fail(f"the node cannot work on its disk: {error}")
    web.start()
    while not stop.wait(1.0):  # the kernel may give a signal to another thread; its handler runs in this one
        if node.superseded.is_set():
            break
    log.info("draining")
    node.stop()
    web.stop()
    log.info("stopped")


def worker(
    config: ConfigOption = None,
    device: Annotated[str, typer.Option(help="cpu, cuda:0, ... or auto.")] = "auto",
    name: Annotated[str, typer.Option(help="Unique name; the node and the process by default.")] = "",
) -> None:
    """Run one worker: claim enhancements from the ledger and do them. `serve` starts its own."""
    go_first()
    settings = settings_of(config)
    try:
        own = build_worker(settings, device, name or f"{settings.node.name}/by-hand/{os.getpid()}")
    except EnhanceError as error:
        fail(str(error))
    signal.signal(signal.SIGTERM, lambda *_: own.stop())
    signal.signal(signal.SIGINT, signal.SIG_IGN if name else lambda *_: own.stop())
    if name:
        threading.Thread(target=_end_with_parent, name="parent", daemon=True).start()
    own.run()


def _end_with_parent() -> None:
    """The node holds the other end of our standard input: end of file means that it is gone."""
    while os.read(sys.stdin.fileno(), 1):
        pass
    os._exit(3)
