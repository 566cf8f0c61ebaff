"""The OpenAPI document."""

from typing import Any

from fastapi import APIRouter, Request

from dicomnode.web.access.gate import public

router = APIRouter(tags=["schema"])


@router.get("/api/openapi.json", summary="What the API offers", include_in_schema=False)
@public
def openapi(request: Request) -> dict[str, Any]:
    """Of `/api/v1` and the health checks; pages are not in it."""
    document: dict[str, Any] = request.app.openapi()
    return document
