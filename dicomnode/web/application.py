"""The FastAPI application of a node."""

from fastapi import FastAPI
from fastapi.staticfiles import StaticFiles

from dicomnode import __version__
from dicomnode.web import api, pages, problem
from dicomnode.web.access.barrier import Barrier
from dicomnode.web.access.gate import gates
from dicomnode.web.access.sign_ins import departures, provider, throttle
from dicomnode.web.rendering import FOLDER
from dicomnode.web.running import Running


def create_app(node: Running) -> FastAPI:
    """Routes of `node`. Handlers are synchronous and run in a thread pool; none holds a transaction open."""
    app = FastAPI(
        title="dicomnode", version=__version__, openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False
    )
    web = node.flow.settings.web
    app.state.node = node
    app.state.throttle, app.state.departures, app.state.provider = throttle(web), departures(), provider(web)
    problem.install(app)
    app.add_middleware(Barrier, web=web)
    for router in (*api.ROUTERS, *pages.ROUTERS):
        app.include_router(router)
    app.mount("/static", StaticFiles(directory=FOLDER / "static"), name="static")
    gates(app)
    return app
