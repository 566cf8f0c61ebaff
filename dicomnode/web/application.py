"""The FastAPI application of a node."""

from fastapi import FastAPI, Response
from prometheus_client import generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from dicomnode import __version__
from dicomnode.app import Node
from dicomnode.flow.gauges import refresh_gauges
from dicomnode.observe import REGISTRY


def create_app(node: Node) -> FastAPI:
    """Routes of `node`. Handlers are synchronous and run in a thread pool; none holds a transaction open."""
    app = FastAPI(
        title="dicomnode",
        version=__version__,
        openapi_url="/api/openapi.json",
        docs_url=None,
        redoc_url=None,
    )

    @app.get("/healthz", summary="The process is alive")
    def healthz() -> dict[str, str]:
        return {"status": "ok"}

    @app.get("/readyz", summary="The DICOM port listens, whatever any PACS does")
    def readyz(response: Response) -> dict[str, str]:
        if not node.listening:
            response.status_code = 503
            return {"status": "the DICOM port does not listen"}
        return {"status": "ready"}

    @app.get("/metrics", summary="Prometheus metrics; no patient data")
    def metrics() -> Response:
        refresh_gauges(node.flow)
        return Response(generate_latest(REGISTRY), media_type=CONTENT_TYPE_LATEST)

    return app
