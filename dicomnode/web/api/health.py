"""Health, readiness and metrics: for monitors, without sign-in, without patient data."""

import threading

from fastapi import APIRouter, Response
from prometheus_client import generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from dicomnode.flow.upkeep.gauges import refresh_gauges
from dicomnode.observe import REGISTRY
from dicomnode.web.access.gate import public
from dicomnode.web.running import TheNode

_counting = threading.Lock()
"""Anybody may ask, and the answer counts rows: for one at a time. Who asks meanwhile gets what is counted so far."""
router = APIRouter(tags=["health"])


@router.get("/healthz", summary="The process is alive")
@public
def healthz() -> dict[str, str]:
    """Answers as long as the process does."""
    return {"status": "ok"}


@router.get("/readyz", summary="The DICOM port listens, whatever any PACS does")
@public
def readyz(response: Response, node: TheNode) -> dict[str, str]:
    """503 while associations are not taken."""
    if not node.listening:
        response.status_code = 503
        return {"status": "the DICOM port does not listen"}
    return {"status": "ready"}


@router.get("/metrics", summary="Prometheus metrics; no patient data", response_class=Response)
@public
def metrics(node: TheNode) -> Response:
    """In Prometheus' own text format."""
    if _counting.acquire(blocking=False):
        try:
            refresh_gauges(node.flow)
        finally:
            _counting.release()
    return Response(generate_latest(REGISTRY), media_type=CONTENT_TYPE_LATEST)
