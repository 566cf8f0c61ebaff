"""Rules in the browser: what is in force, the draft and its replay, the editor, revisions, explanations."""

from fastapi import APIRouter

from dicomnode.web.pages.rules import drafting, editor, explaining, overview, promoting, revisions, trying
from dicomnode.web.pages.site import destination

ROUTERS: tuple[APIRouter, ...] = (
    overview.router,
    editor.router,
    drafting.router,
    trying.router,
    promoting.router,
    explaining.router,
    revisions.router,
    destination.router,
)
"""That of destinations' editor comes before the one of their pages: `/destinations/{name}` would take `new`."""
