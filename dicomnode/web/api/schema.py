"""The OpenAPI document."""

from typing import Any

from fastapi import APIRouter, FastAPI, Request

from dicomnode import __version__
from dicomnode.web.access.gate import public

router = APIRouter(tags=["schema"])

PROBLEM: dict[str, Any] = {
    "title": "Problem",
    "description": "What went wrong, RFC 9457.",
    "type": "object",
    "required": ["type", "title", "status"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "What to do, in plain words."},
        "problems": {
            "type": "array",
            "description": "A finding for each place, where there are several.",
            "items": {"type": "object", "additionalProperties": True},
        },
    },
}
_PROBLEMS = {
    "description": "Anything else: what went wrong.",
    "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
}


@router.get("/api/openapi.json", summary="What the API offers", include_in_schema=False)
@public
def openapi(request: Request) -> dict[str, Any]:
    """Of `/api/v1` and the health checks; pages are not in it."""
    return document_of(request.app)


def document_of(app: FastAPI) -> dict[str, Any]:
    """FastAPI's document, with problems as the node tells them and the tokens that it takes. Made once."""
    if getattr(app.state, "openapi", None) is None:
        app.state.openapi = _described(app.openapi())
    document: dict[str, Any] = app.state.openapi
    return document


def _described(whole: dict[str, Any]) -> dict[str, Any]:
    document = {**whole, "info": {"title": "dicomnode", "version": __version__}, "paths": {}}
    kept = {name: of for name, of in whole["components"]["schemas"].items() if "ValidationError" not in name}
    document["components"] = {
        "schemas": {**kept, "Problem": PROBLEM},
        "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
    }
    for path, operations in whole["paths"].items():
        document["paths"][path] = {method: _operation(path, each) for method, each in operations.items()}
    return document


def _operation(path: str, operation: dict[str, Any]) -> dict[str, Any]:
    answers = {status: of for status, of in operation["responses"].items() if status != "422"}
    security: list[dict[str, list[str]]] = [{"token": []}] if path.startswith("/api/") else []
    return {**operation, "responses": {**answers, "default": _PROBLEMS}, "security": security}
